"""`make test-versions`: which versions, what pytest says of one, what is kept and shown."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import tests.versions
from lethe_vllm.compat import TRIED
from tests.version_results import (
    FAILED,
    NOT_SET_UP,
    PASSED,
    REFUSED,
    Result,
    exit_status,
    keep,
    kept,
    of_report,
    table,
)
from tests.versions import LOCKS, ROOT, SUITE, environment, locked, main, refusal, versions

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = [LOCKS, *LOCKS.glob("vllm-*")]


def report(*cases: str) -> str:
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


def case(name: str, inside: str = "") -> str:
    return f'<testcase classname="tests.engine.test_a" name="{name}">{inside}</testcase>'


def test_tried_is_what_passed() -> None:
    assert list(TRIED) == [name for name, one in kept().items() if one.verdict == PASSED]


def test_every_version_with_a_lock_was_run() -> None:
    assert set(kept()) == set(versions())


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_the_project_asks_for_the_versions_that_passed(extra: str) -> None:
    [text] = PROJECT["optional-dependencies"][extra]
    assert list(Requirement(text).specifier.filter(kept())) == list(TRIED)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_lock_holds_what_the_project_asks_for_and_not_the_companions_of_torch(
    folder: Path,
) -> None:
    text = "".join((folder / name).read_text() for name in ("cpu.lock", "torch-cpu.lock"))
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(pins[requirement.name], prereleases=True)
    assert not {"torchvision", "torchaudio", "torchcodec"} & pins.keys()
    assert folder.name in ("requirements", f"vllm-{locked(folder)}")


def test_the_suite_is_there() -> None:
    assert all((ROOT / path).is_file() for path in SUITE)


def test_the_main_version_has_the_main_environment_and_another_its_own() -> None:
    own, python = environment(locked(LOCKS))
    assert (own["VLLM"], python) == ("", ROOT / ".venv" / "bin" / "python")
    own, python = environment("0.1.0")
    assert (own["VLLM"], python) == ("0.1.0", ROOT / ".venv-vllm-0.1.0" / "bin" / "python")


def test_a_version_without_a_lock_is_wrong_usage() -> None:
    with pytest.raises(SystemExit, match=r"found 0\.1\.0; 'make lock VLLM=0\.1\.0'"):
        main(["0.1.0"])


def test_what_stops_the_start_of_an_engine_is_the_reason_of_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tests.versions, "PROBE", "import sys; print('log'); sys.exit('no X')")
    assert refusal(Path(sys.executable)) == Result(REFUSED, "no X")
    monkeypatch.setattr(tests.versions, "PROBE", "print('log')")
    assert refusal(Path(sys.executable)) is None


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        (report(case("x"), case("y")), 0, Result(PASSED, passed=2)),
        (
            report(case("x"), case("y", "<failure/>"), case("z", "<error/>")),
            1,
            Result(FAILED, "2 of 3 tests, the first tests.engine.test_a: y", 1),
        ),
        (
            report(case("x"), case("y", "<skipped/>")),
            0,
            Result(FAILED, "1 of 2 tests, the first tests.engine.test_a: y", 1),
        ),
        (report(), 5, Result(FAILED, "pytest ended with status 5 after 0 tests")),
        (report(case("x")), 2, Result(FAILED, "pytest ended with status 2 after 1 tests", 1)),
        ("", -9, Result(FAILED, "pytest ended with status -9 after 0 tests")),
    ],
)
def test_only_a_run_in_which_every_test_passed_is_one(
    text: str, status: int, expected: Result
) -> None:
    assert of_report(text, status) == expected


def test_results_are_kept_by_version_and_later_ones_win(tmp_path: Path) -> None:
    path = tmp_path / "versions.json"
    keep({"0.10.0": Result(PASSED, passed=3)}, path)
    keep({"0.9.0": Result(REFUSED, "this vLLM: ...")}, path)
    keep({"0.10.0": Result(FAILED, "1 of 3 tests")}, path)
    assert kept(path) == {
        "0.9.0": Result(REFUSED, "this vLLM: ..."),
        "0.10.0": Result(FAILED, "1 of 3 tests"),
    }
    assert list(json.loads(path.read_text())) == ["0.9.0", "0.10.0"]


def test_the_table_has_a_line_for_each_version_with_its_reason() -> None:
    lines = table({"0.9.0": Result(REFUSED, "none"), "0.10.0": Result(PASSED, passed=3)})
    assert [line.split() for line in lines.splitlines()[1:]] == [
        ["0.9.0", "refused", "0", "none"],
        ["0.10.0", "passed", "3"],
    ]


@pytest.mark.parametrize("verdict", [FAILED, REFUSED, NOT_SET_UP])
def test_a_version_that_was_tried_and_does_not_pass_fails_the_run(verdict: str) -> None:
    results = {"0.9.0": Result(verdict), "0.10.0": Result(PASSED)}
    assert exit_status(results, ["0.9.0"]) == 1
    assert exit_status(results, ["0.10.0"]) == 0
