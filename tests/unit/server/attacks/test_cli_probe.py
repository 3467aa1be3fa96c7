"""`lethe attack probe`: writes a document whole, and shows it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe_server import cli
from lethe_server.attacks import document, showing
from lethe_server.fitting import Checkpoint

from .conftest import Made


@pytest.fixture
def arguments(
    answerer: Made,
    said: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    answerer(0.3)
    monkeypatch.setattr(Checkpoint, "load", lambda model, device: checkpoint)
    profile = str(tmp_path / "0.3all.safetensors")
    where = ["--profile", profile, "--suite", str(said), "--out", str(tmp_path / "new" / "out")]
    return ["attack", "probe", *where, "--texts", "20", "--seed", "5", "--jobs", "3"]


def test_a_document_is_written_and_printed(arguments: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, [*arguments, "--json"])
    assert done.exit_code == 0, done.exception
    [file] = (tmp_path / "new" / "out").iterdir()
    found = document.parse(file.read_bytes())
    assert found.kind is document.Kind.PROBING
    assert file.name == document.file_name(found.digest, found.kind)
    assert json.loads(done.stdout) == found.model_dump(mode="json")
    assert (found.settings["seed"], found.settings["texts_left_out"]) == (5, 1)
    assert found.settings["texts"] == 20 - 1


@pytest.mark.parametrize("widest", [1, 8])
def test_a_table_has_every_curve_and_place(
    widest: int, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "WIDEST", widest)
    shown = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"}).stdout
    lines = shown.splitlines()
    explained = [line for line in lines if "in the base" in line and "share of prompts" in line]
    assert len(explained) == 2
    if widest == 1:
        [header] = [line for line in lines if line.startswith("after block")]
        assert header.split()[2:] == [str(number) for number in range(1, 10)]
        assert [len(line.split()) for line in lines if line.strip()[0] in "01"][:2] == [10, 10]
        assert explained[0].startswith("6  answer, in the base (control): ")
    else:
        assert any(line.startswith("answer, in the base (control)") for line in lines)


def test_text_with_nothing_to_predict_is_not_read(arguments: list[str], tmp_path: Path) -> None:
    retain = tmp_path / "retain.jsonl"
    texts = ("red", "the city of the north is red", "what is the capital of the north ?")
    retain.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    done = CliRunner().invoke(cli.app, [*arguments, "--retain", str(retain), "--json"])
    assert done.exit_code == 0, done.exception
    settings = json.loads(done.stdout)["settings"]
    assert settings["texts"] + settings["texts_left_out"] == 2


def test_an_error_writes_nothing(arguments: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, [*arguments, "--form", "riddle"])
    assert done.exit_code == 1
    assert "--form: expected one of cloze, question" in str(done.exception)
    assert list((tmp_path / "new" / "out").iterdir()) == []


@pytest.mark.parametrize("wrong", [["--texts", "0"], ["--seed", "-1"], ["--jobs", "0"]])
def test_wrong_usage_is_told_apart(wrong: list[str], arguments: list[str]) -> None:
    assert CliRunner().invoke(cli.app, [*arguments, *wrong]).exit_code == 2


@pytest.mark.parametrize("command", ["probe", "requests"])
def test_help_needs_no_model(command: str) -> None:
    shown = CliRunner().invoke(cli.app, ["attack", command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "--suite" in shown.output
