"""docs/compatibility.md, made from the tests: each path vLLM takes, and what shows it exact.

A test, or a parameter of a fixture, says `pytest.mark.path("...")`; what is refused at start-up is
`lethe_vllm.compat.REFUSED`; how versions of vLLM did is in tests/versions.json.

    python -m tests.compatibility [FILE]       # make compatibility
"""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.version_results import Result, kept
from tests.versions import LOCKS, SUITE, locked

DOCUMENT = Path(__file__).parent.parent / "docs" / "compatibility.md"

_HEAD = (
    "# Compatibility",
    "Every path that vLLM takes with a request is one of two: *exact*, shown by the tests named "
    "here on a real engine, or *refused* when the engine starts, with the advice given here. "
    "`make compatibility` makes this page from the tests and the refusals, and a test fails when "
    "it is not up to date.",
    "Exact means: in float32, the log-probabilities of a variant are those of the same edit in "
    "transformers, to 1e-3, and those of the base are those of the unedited model; or, where the "
    "test says so, answers are token for token those of the same requests one by one. For "
    "quantised models the reference computes with what the weights stand for, and rounds what a "
    "layer rounds. Most prompts then agree to 1e-3; in float16, which the kernels for 4 bits need, "
    "to 2e-2, as those of a model that is not quantised do.",
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


def rendered(
    shown: dict[str, list[str]], refused: Iterable[str], versions: Mapping[str, Result], main: str
) -> str:
    """The page; `main` is the version of vLLM that all tests are run with."""
    lines = ["\n\n".join(_HEAD), *_versions(versions, main)]
    lines += ["\n## Exact\n", "| path | shown by |", "|---|---|"]
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


def _versions(versions: Mapping[str, Result], main: str) -> list[str]:
    return [
        "\n## vLLM versions\n",
        f"All tests are run with {main}, which `make setup` installs. `make test-versions` gives "
        "each version an environment of its own, and runs the tests there that meet every method "
        f"which Lethe replaces: {'; '.join(SUITE.values())}.\n",
        "| vLLM | result |",
        "|---|---|",
        *(
            f"| {version} | {': '.join(filter(None, (one.verdict, one.message)))} |"
            for version, one in versions.items()
        ),
        "\nAn engine with Lethe enabled warns at start-up under a version that did not pass or is "
        "not in this table, and does not start where a method that Lethe replaces is gone or takes "
        "other parameters; the error names it.",
    ]


def page() -> str:
    from lethe_vllm import compat

    return rendered(collected(), compat.REFUSED, kept(), locked(LOCKS))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    target.write_text(page())
