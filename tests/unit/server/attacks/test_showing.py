"""A table has every name and every number, however narrow the terminal."""

import io

import pytest
from rich.console import Console

from lethe_server.attacks import showing
from lethe_server.attacks.document import Attack, Curve, Kind, Point, SuiteUsed
from lethe_server.evaluating.split import Split

PLACES = [25.0 * step for step in range(9)]


def point(at: float, value: float) -> Point:
    return Point(at=at, value=value, interval=(value / 2, value + 0.1), n=30, clusters=6)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_cut_off(width: int) -> None:
    curves = [
        Curve(
            name=f"a curve of {name}",
            control=name == "nothing",
            formula="share",
            points=[point(at, low + at / 1000) for at in PLACES],
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
    shown = file.getvalue()
    for curve in curves:
        for one in curve.points:
            assert one.interval is not None
            assert f"{one.value:.3f}" in shown
            assert "{:.2f}-{:.2f}".format(*one.interval) in shown
    words = shown.split()
    assert shown.index("something") < shown.index("nothing")
    assert {"(control)", "25", "200"} <= set(words)
