"""A table has every name and every number, however narrow the terminal."""

import io
import re
from collections.abc import Sequence

import pytest
from rich.console import Console

from lethe_server.attacks import showing
from lethe_server.attacks.document import Attack, Curve, Kind, Point, SuiteUsed
from lethe_server.evaluating.split import Split

PLACES = [25.0 * step for step in range(9)]
MORE = [float(block) for block in range(30)]


def point(at: float, value: float) -> Point:
    return Point(at=at, value=value, interval=(value / 2, value + 0.1), n=30, clusters=6)


def shown(places: Sequence[float], width: int) -> tuple[Attack, str]:
    curves = [
        Curve(
            name=f"a curve of {name}",
            control=name == "nothing",
            formula="share",
            points=[point(at, low + at / 1000) for at in places],
        )
        for name, low in (("nothing", 0.1), ("something", 0.5))
    ]
    found = Attack(
        kind=Kind.RELEARNING, digest="ab" * 32, method="steer", model="cd" * 32, engine="none",
        dtype="float32", split=Split.ALL, axis="training steps", settings={}, curves=curves,
        suites=[SuiteUsed(name="capitals", version="1", sha256="ef" * 32)],
    )  # fmt: skip
    file = io.StringIO()
    showing.show(found, Console(file=file, width=width))
    return found, file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_cut_off(width: int) -> None:
    found, text = shown(PLACES, width)
    for curve in found.curves:
        for one in curve.points:
            assert one.interval is not None
            assert f"{one.value:.3f}" in text
            assert "{:.2f}-{:.2f}".format(*one.interval) in text
    assert text.index("something") < text.index("nothing")
    assert {"(control)", "25", "200"} <= set(text.split())


@pytest.mark.parametrize("width", [40, 80])
def test_many_places_are_rows(width: int) -> None:
    found, text = shown(MORE, width)
    rows = [line.split() for line in text.splitlines() if re.fullmatch(r"[\d. ]+", line)]
    ordered = sorted(found.curves, key=lambda one: one.control)
    assert rows == [
        [f"{place:g}", *(f"{curve.points[at].value:.3f}" for curve in ordered)]
        for at, place in enumerate(MORE)
    ]
    assert "1  a curve of something: share" in text
    assert "2  a curve of nothing (control): share" in text
