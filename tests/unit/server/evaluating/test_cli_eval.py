"""`lethe eval`: what it takes, what it says, how it exits."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lethe_projections.errors import LetheError, SuiteError
from lethe_server import cli, client
from lethe_server.evaluating import evidence

from .served import DIGEST, KEY, Fake, forgets, idle, retain, suite


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> tuple[Result, Fake]:
    server = Fake({"base": idle, "france": forgets})
    monkeypatch.setattr(client, "Client", lambda url, key: server.client() if key == KEY else None)
    given = ["--profile", "france", "--out", str(folder / "out"), "--retain", str(retain(folder))]
    suites = [] if "--suite" in more else ["--suite", str(suite(folder))]
    environment = {"LETHE_API_KEY": KEY, "COLUMNS": "200"}
    return CliRunner().invoke(cli.app, ["eval", *given, *suites, *more], env=environment), server


def test_it_shows_the_worst_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, server = run(monkeypatch, tmp_path)
    assert done.exit_code == 0, done.output
    assert "towns 1: worst form question, recovered 0.000; neighbours kept 0.000" in done.stdout
    assert done.stdout.index("still recovered") < done.stdout.index("further measures")
    assert server.put == []
    assert KEY not in done.output


def test_json_is_the_document_that_is_written_and_attached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done, server = run(monkeypatch, tmp_path, "--json", "--attach")
    document: Any = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "out" / evidence.file_name(DIGEST)).read_bytes())
    assert server.put == [("/v1/unlearning/profiles/france/evidence", document)]


@pytest.mark.parametrize("split", ["development", "held out"])
def test_one_half_of_the_subjects(
    split: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done, _ = run(monkeypatch, tmp_path, "--split", split, "--json")
    found = json.loads(done.stdout)
    assert found["split"] == split
    facts = found["suites"][0]["facts"]
    assert (facts["never_known"], facts["forget"] < 6) == (6, True)


def test_what_cannot_be_asked_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, _ = run(monkeypatch, tmp_path, "--suite", "rivers")
    assert isinstance(done.exception, SuiteError)
    assert "capitals, element_symbols, books, or a file" in str(done.exception)
    done, _ = run(monkeypatch, tmp_path, "--forget", "Atlantis")
    assert isinstance(done.exception, LetheError)
    assert "Atlantis" in str(done.exception)


@pytest.mark.parametrize("wrong", [["--jobs", "0"], ["--split", "both"], ["--texts", "-1"]])
def test_wrong_usage_is_told_apart(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(monkeypatch, tmp_path, *wrong)[0].exit_code == 2
