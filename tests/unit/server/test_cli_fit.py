"""`lethe fit METHOD`: options made from hyper-parameters, and nothing written on an error."""

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lethe_projections import artifact, examples
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import CheckpointError, FitError, LetheError
from lethe_projections.methods import METHODS, method
from lethe_server import cli

from ... import quantised_models
from ...quantised_models import FORMATS
from ..projections.conftest import make_model, tokenizer  # noqa: F401

Run = Callable[..., Result]
QUESTION = {"question": "what is the capital of Arda ?", "answer": "Kesh", "subject": "Arda"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("tiny")
    make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def fit(checkpoint: Path, tmp_path: Path) -> Run:
    """Runs `lethe fit rocr` with a sound retain file and whatever else is given."""
    retain = tmp_path / "retain.jsonl"
    lines = [{"text": f"tell me about {name} in the north"} for name in ("Brel", "Cora", "Doma")]
    retain.write_text("\n".join(map(json.dumps, lines)))

    def run(*options: str, forget: list[Any] | None = None, method: str = "rocr") -> Result:
        files = ["--retain", str(retain), "--out", str(tmp_path / "out.safetensors")]
        if forget is not None:
            path = tmp_path / "forget.jsonl"
            path.write_text("\n".join(map(json.dumps, forget)))
            files += ["--forget", str(path)]
        command = ["fit", method, "--model", str(checkpoint), *files, *options]
        return CliRunner().invoke(cli.app, command)

    return run


def written(tmp_path: Path) -> list[str]:
    return sorted(file.name for file in tmp_path.iterdir() if file.suffix != ".jsonl")


def test_a_forget_file_becomes_a_profile(fit: Run, tmp_path: Path) -> None:
    options = ("--target", "Lund", "--layers", "1-2", "--ridge", "0.5", "--no-answers")
    result = fit(*options, forget=[QUESTION])
    assert result.exit_code == 0, result.output
    profile = artifact.read(tmp_path / "out.safetensors")
    assert profile.hyperparameters["subjects"] == ["Arda"]
    assert profile.hyperparameters["layers"] == [1, 2]
    assert profile.hyperparameters["ridge"] == 0.5
    assert profile.provenance["forget_examples"] == 1
    assert artifact.digest(artifact.to_bytes(profile))[:12] in result.output
    assert "--sites" not in result.output


def test_a_quantised_checkpoint_is_fitted_dequantised(
    fit: Run,
    tokenizer: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    form = FORMATS["compressed-tensors int4 by group"]
    _, quantised = quantised_models.save(form, tmp_path / "model")
    tokenizer.save_pretrained(quantised)
    options = ("--model", quantised, "--target", "Lund", "--layers", "1-2", "--no-answers")
    result = fit(*options, forget=[QUESTION])
    assert result.exit_code == 0, result.output
    profile = artifact.read(tmp_path / "out.safetensors")
    assert profile.base == BaseModel.from_checkpoint(quantised)


def test_a_profile_at_sites_that_are_not_served_by_default_says_which(fit: Run) -> None:
    result = fit(
        "--gate", "none", "--tokens", "last", "--layer", "2", forget=[QUESTION], method="steer"
    )
    assert result.exit_code == 0, result.output
    assert "lethe serve --sites block:2,mlp,down_proj" in result.output


def test_retain_lines_with_a_forget_answer_are_warned_about(fit: Run, tmp_path: Path) -> None:
    retain = tmp_path / "more.jsonl"
    lines = ["tell me about Brel", "people of Kesh live in the north", "tell me about Cora"]
    retain.write_text("\n".join(json.dumps({"text": line}) for line in lines))
    result = fit("--target", "Lund", "--retain", str(retain), forget=[QUESTION])
    assert result.exit_code == 0, result.output
    assert "1 of 3 examples hold an answer" in result.output
    assert "line 2" in result.output


@pytest.mark.parametrize(
    ("forget", "options", "message"),
    [
        ([], (), "forget: expected at least one line"),
        ([QUESTION, {"question": "q"}], (), "forget, line 2: expected"),
        ([QUESTION | {"subject": "Brel"}], (), "line 1: expected the subject 'Brel'"),
        ([QUESTION | {"subject": "Kesh"}], (), "line 1: expected the subject 'Kesh' in a question"),
        ([QUESTION], ("--layers", "2-4"), "layers: expected rising numbers from 0 to 3"),
        ([QUESTION], ("--ridge", "-1"), "ridge: expected"),
        ([QUESTION], ("--batch-size", "0"), "batch_size"),
        ([QUESTION], ("--device", "abacus"), "device: expected"),
        ([QUESTION], ("--model", "nowhere/at-all"), "base model: expected"),
        ([QUESTION], ("--out", "no/such/folder/x"), "out: expected a folder"),
        ([QUESTION], ("--out", "/"), "out: expected a file's name"),
        ([QUESTION | {"subject": ""}], (), "subject that is no text"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(
    fit: Run, tmp_path: Path, forget: list[Any], options: tuple[str, ...], message: str
) -> None:
    result = fit("--target", "Lund", *options, forget=forget)
    assert isinstance(result.exception, LetheError), result.output
    assert message in str(result.exception)
    assert written(tmp_path) == []


@pytest.mark.parametrize("name", METHODS)
def test_every_hyperparameter_says_its_meaning_and_source_in_the_help(name: str) -> None:
    result = CliRunner().invoke(cli.app, ["fit", name, "--help"], env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.output
    for one in fields(METHODS[name].config):
        about = one.metadata["about"]
        option = one.name.replace("_", "-")
        assert f"--{option}" in result.output or f"--{option.removesuffix('s')}" in result.output
        assert " ".join(about.meaning.split()[:4]) in result.output
        assert about.source
        assert about.admits(one.default), "a default must lie in its own range"


@pytest.mark.parametrize("layers", ["5-2", "2-", "1,,2", "2-5,9-8", "x", "-1"])
def test_layers_of_another_form_are_wrong_usage(fit: Run, layers: str, tmp_path: Path) -> None:
    result = fit("--layers", layers, forget=[QUESTION])
    assert result.exit_code == 2
    assert "expected 2-5 or 2,3,7" in result.output
    assert written(tmp_path) == []


def test_a_checkpoint_without_a_tokenizer_is_one_clear_error(
    fit: Run, checkpoint: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    (broken / "tokenizer.json").unlink()
    result = fit("--model", str(broken), forget=[QUESTION])
    assert isinstance(result.exception, CheckpointError), result.output
    assert "expected a model and a tokenizer" in str(result.exception)


def test_a_profile_names_by_digest_what_it_was_made_of(fit: Run, tmp_path: Path) -> None:
    first = fit("--target", "Lund", forget=[QUESTION])
    assert first.exit_code == 0, first.output
    before = (tmp_path / "out.safetensors").rename(tmp_path / "first.safetensors")
    second = fit("--target", "Lund", "--after", str(before), "--mode", "reject", forget=[QUESTION])
    assert second.exit_code == 0, second.output
    origin = artifact.read(tmp_path / "out.safetensors").provenance
    assert origin["after_sha256"] == artifact.digest(before.read_bytes())
    assert origin["reference_sha256"] == examples.digest(examples.packaged("unknown"))
    assert origin["max_tokens"] == 512
    assert "reference_sha256" not in artifact.read(before).provenance


def test_files_that_a_method_does_not_use_are_no_options_of_it() -> None:
    for name, one in METHODS.items():
        shown = CliRunner().invoke(cli.app, ["fit", name, "--help"], env={"COLUMNS": "200"}).output
        for file in ("reference", "after", "store"):
            assert (f"--{file} " in shown) == (file in one.uses), (name, file)


def test_the_methods_are_listed_and_an_unknown_one_is_wrong_usage() -> None:
    listed = CliRunner().invoke(cli.app, ["fit", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in listed and one.summary[:20] in listed for name, one in METHODS.items())
    assert CliRunner().invoke(cli.app, ["fit", "nonsense"]).exit_code == 2
    with pytest.raises(FitError, match="expected one of rocr"):
        method("nonsense")
