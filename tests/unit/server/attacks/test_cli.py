"""The commands: each writes a document whole, and shows it."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe_server import cli
from lethe_server.attacks import document, quantisation
from lethe_server.fitting import Checkpoint

from .conftest import Made

QUICK = {
    "relearn": ["--steps", "2", "--every", "1", "--batch", "2", "--seed", "5"],
    "quantise": ["--bits", "3", "--group", "16"],
}
KINDS = {"relearn": document.Kind.RELEARNING, "quantise": document.Kind.QUANTISATION}


@pytest.fixture
def options(
    answerer: Made,
    said: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    answerer(0.3)
    monkeypatch.setattr(Checkpoint, "load", lambda model, device: checkpoint)
    where = ["--profile", str(tmp_path / "0.3all.safetensors"), "--suite", str(said)]
    return [*where, "--out", str(tmp_path / "new" / "out"), "--max-tokens", "4"]


@pytest.mark.parametrize("command", QUICK)
def test_a_document_is_written_and_printed(
    command: str, options: list[str], tmp_path: Path
) -> None:
    done = CliRunner().invoke(cli.app, ["attack", command, *options, *QUICK[command], "--json"])
    assert done.exit_code == 0, done.exception
    [file] = (tmp_path / "new" / "out").iterdir()
    found = document.parse(file.read_bytes())
    assert found.kind is KINDS[command]
    assert file.name == document.file_name(found.digest, found.kind)
    assert json.loads(done.stdout) == found.model_dump(mode="json")


@pytest.mark.parametrize("command", QUICK)
def test_a_table_has_each_curve_with_its_formula(command: str, options: list[str]) -> None:
    arguments = ["attack", command, *options, *QUICK[command]]
    shown = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"}).stdout
    first = {"relearn": "held-out part of forget", "quantise": "worst form of forget"}[command]
    lines = [line for line in shown.splitlines() if line.startswith(first)]
    assert len(lines) > 1
    assert re.search(r"\d\.\d\d-\d\.\d\d", shown)
    assert any(line.startswith(f"{first}: share = recovered / known") for line in lines)
    controls = [line for line in shown.splitlines() if "(control)" in line]
    assert controls


@pytest.mark.parametrize("command", QUICK)
def test_an_error_writes_nothing(command: str, options: list[str], tmp_path: Path) -> None:
    arguments = ["attack", command, *options, *QUICK[command], "--form", "riddle"]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert "--form: expected one of" in str(done.exception)
    assert list((tmp_path / "new" / "out").iterdir()) == []


@pytest.mark.parametrize("command", QUICK)
def test_help_has_the_settings_own_defaults(command: str) -> None:
    from lethe_server.attacks import relearning

    shown = CliRunner().invoke(cli.app, ["attack", command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    settings = {"relearn": relearning.Settings(), "quantise": quantisation.Settings()}[command]
    for name in ("steps", "batch", "learning_rate", "rank", "share", "every", "group"):
        if hasattr(settings, name):
            option = f"--{name.replace('_', '-')}"
            [line] = [one for one in shown.output.splitlines() if f"{option} " in one]
            assert f"[default: {getattr(settings, name)}]" in line, line
