"""How each version of vLLM did in `tests/versions.py`: read from pytest, kept, shown."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

RESULTS = Path(__file__).parent / "versions.json"

PASSED, FAILED, REFUSED, NOT_SET_UP = "passed", "failed", "refused", "not set up"


@dataclass(frozen=True)
class Result:
    """How one version did.

    Attributes:
        verdict: one of the four above; refused means that no engine with Lethe enabled starts.
        message: why it did not pass.
        passed: how many tests did.
    """

    verdict: str
    message: str = ""
    passed: int = 0


def of_report(report: str, status: int) -> Result:
    """What pytest's XML report, "" if there is none, and its exit status say."""
    cases = list(ElementTree.fromstring(report).iter("testcase")) if report else []
    # A test that passed has no element in it that says otherwise; a skipped one shows nothing.
    others = [case for case in cases if {one.tag for one in case} & {"failure", "error", "skipped"}]
    passed = len(cases) - len(others)
    if others:
        first = f"{others[0].get('classname')}: {others[0].get('name')}"
        return Result(FAILED, f"{len(others)} of {len(cases)} tests, the first {first}", passed)
    if status or not passed:
        return Result(FAILED, f"pytest ended with status {status} after {passed} tests", passed)
    return Result(PASSED, passed=passed)


def kept(path: Path = RESULTS) -> dict[str, Result]:
    """The results of the last run of each version, oldest version first."""
    if not path.exists():
        return {}
    return {version: Result(**one) for version, one in json.loads(path.read_text()).items()}


def keep(results: Mapping[str, Result], path: Path = RESULTS) -> None:
    """Adds results to those kept, or puts them in the place of older ones."""
    every = kept(path) | dict(results)
    document = {
        version: {"verdict": every[version].verdict, "message": every[version].message}
        for version in sorted(every, key=order)
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def order(version: str) -> list[int]:
    """Sorts versions: 0.9.0 before 0.10.0."""
    return [int(part) for part in version.split(".")]


def table(results: Mapping[str, Result]) -> str:
    """For the terminal."""
    rows = [("vLLM", "result", "tests passed", "")]
    rows += [(name, one.verdict, str(one.passed), one.message) for name, one in results.items()]
    return "\n".join(f"{a:<8}  {b:<10}  {c:>12}  {d}".rstrip() for a, b, c, d in rows)


def exit_status(results: Mapping[str, Result], tried: Collection[str]) -> int:
    """1 if a version that Lethe claims to have been tried with did not pass, else 0."""
    return int(any(results[name].verdict != PASSED for name in results if name in tried))
