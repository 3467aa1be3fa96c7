"""docs/compatibility.md, made from the tests: each path vLLM takes, and what shows it exact.

A test, or a parameter of a fixture, says `pytest.mark.path("...")`; what is refused at start-up is
`lethe_vllm.compat.REFUSED`.

    python -m tests.compatibility [FILE]       # make compatibility
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parent.parent / "docs" / "compatibility.md"

_HEAD = (
    "# Compatibility",
    "Every path that vLLM takes with a request is one of two: *exact*, shown by the tests named "
    "here on a real engine, or *refused* when the engine starts, with the advice given here. "
    "`make compatibility` makes this page from the tests and the refusals, and a test fails when "
    "it is not up to date.",
    "Exact means: in float32, the log-probabilities of a variant are those of the same edit in "
    "transformers, to 1e-3, and those of the base are those of the unedited model; or, where the "
    "test says so, answers are token for token those of the same requests one by one.",
)


class Collector:
    """A pytest plugin that notes which test shows which path."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, None]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for marker in item.iter_markers("path"):
                name = re.sub(r"\[.*", "", item.nodeid)
                self.shown.setdefault(marker.args[0], {})[name] = None


def collected() -> dict[str, list[str]]:
    """Test names by path.

    Raises:
        RuntimeError: the tests cannot be collected.
    """
    collector = Collector()
    folder = Path(__file__).parent
    code = pytest.main(
        ["--collect-only", "-qq", "-p", "no:cacheprovider", "--rootdir", str(folder.parent),
         str(folder / "engine"), str(folder / "http"), str(folder / "unit" / "plugin")],
        plugins=[collector],
    )  # fmt: skip
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"expected the tests to be collected, found exit status {code}")
    return {path: list(tests) for path, tests in sorted(collector.shown.items())}


def rendered(shown: dict[str, list[str]], refused: Iterable[str], versions: Iterable[str]) -> str:
    """The page."""
    tried = (
        f"\nVersions of vLLM under which all tests pass: {', '.join(versions)}. Another is warned "
        "of at start-up, and refused where a method that Lethe replaces is gone or takes other "
        "parameters."
    )
    lines = ["\n\n".join(_HEAD), tried, "\n## Exact\n", "| path | shown by |", "|---|---|"]
    for path, tests in shown.items():
        files: dict[str, list[str]] = {}
        for test in tests:
            file, _, name = test.partition("::")
            files.setdefault(file, []).append(f"`{name}`")
        shown_by = "; ".join(f"{file}: {', '.join(names)}" for file, names in files.items())
        lines.append(f"| {path} | {shown_by} |")
    lines += ["\n## Refused at start-up\n", "| path | what to do |", "|---|---|"]
    for reason in refused:
        path, _, remedy = reason.partition(": ")
        lines.append(f"| {path} | {remedy} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    from lethe_vllm import compat

    return rendered(collected(), compat.REFUSED, compat.TRIED)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    target.write_text(page())
