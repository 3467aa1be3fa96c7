"""The page that says under what Lethe is exact follows from the tests and the refusals."""

import subprocess
import sys
from pathlib import Path

from tests.compatibility import DOCUMENT, rendered
from tests.version_results import PASSED, REFUSED, Result


def test_the_page_is_what_the_tests_and_refusals_say(tmp_path: Path) -> None:
    made = tmp_path / "compatibility.md"
    subprocess.run(
        [sys.executable, "-m", "tests.compatibility", str(made)],
        check=True, cwd=DOCUMENT.parent.parent,
    )  # fmt: skip
    assert DOCUMENT.read_text() == made.read_text(), "run 'make compatibility'"


def test_a_path_names_its_tests_by_file() -> None:
    page = rendered(
        {"n > 1": ["tests/a.py::test_x", "tests/a.py::test_y"]}, ["DBO: leave it out"], {}, "0.1"
    )
    assert "| n > 1 | tests/a.py: `test_x`, `test_y` |" in page
    assert "| DBO | leave it out |" in page


def test_a_version_has_its_verdict_and_what_spoke_against_it() -> None:
    page = rendered({}, [], {"0.1": Result(REFUSED, "no X"), "0.2": Result(PASSED)}, "0.2")
    assert "| 0.1 | refused: no X |\n| 0.2 | passed |" in page
    assert "All tests are run with 0.2," in page
