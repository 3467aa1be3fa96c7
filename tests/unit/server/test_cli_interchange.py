"""`lethe export` and `lethe import`, end to end on a tiny checkpoint, and their exit codes."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from lethe_projections import artifact, transformers_model
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError, InterchangeError
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server import cli
from lethe_server.evaluating import attaching

from .evaluating.documents import evidence

HIDDEN, D_FF = 16, 32


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=D_FF, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, vocab_size=32,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def profile(checkpoint: Path, tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(1)
    A, B = (torch.randn(2, width, generator=generator) for width in (D_FF, HIDDEN))
    projector = Projector(Site(1, "down_proj"), A, B)
    made = Profile(BaseModel.from_checkpoint(checkpoint), (projector,), "test")
    artifact.write(made, tmp_path / "p.safetensors")
    return tmp_path / "p.safetensors"


def without_tokenizer(folder: Path) -> tuple[Any, Any]:
    """The checkpoint has none, and an export only copies it."""
    return LlamaForCausalLM.from_pretrained(folder), SimpleNamespace(save_pretrained=lambda _: None)


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", ["export", "import"])
def test_help_imports_neither_torch_nor_transformers(command: str) -> None:
    code = (
        f"import sys; from lethe_server import cli; sys.argv = ['lethe', {command!r}, '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'vllm', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--model" in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_a_profile_goes_to_peft_and_back(profile: Path, checkpoint: Path, tmp_path: Path) -> None:
    lora, back = tmp_path / "lora", tmp_path / "back.safetensors"
    done = invoke("export", profile, "--to", "peft", "--model", checkpoint, "--out", lora)
    assert done.exit_code == 0, done.output
    assert "--max-lora-rank 8" in done.output
    done = invoke("import", lora, "--from", "peft", "--model", checkpoint, "--out", back)
    assert done.exit_code == 0, done.output
    assert "lora, rank 2, layers.1.down_proj" in done.output
    before, after = (artifact.read(path).projectors[0] for path in (profile, back))
    assert torch.equal(before.A, after.A)
    assert torch.equal(before.B, after.B)


@pytest.mark.parametrize("to", ["peft", "merged"])
def test_an_export_has_a_card_with_the_evidence_beside_the_profile(
    to: str, profile: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_model, "load", without_tokenizer)
    found = evidence(artifact.digest(profile.read_bytes()), artifact.read(profile).base.fingerprint)
    for measured in (False, True):
        if measured:
            attaching.put_beside(profile, found)
        out = tmp_path / f"{to}-{measured}"
        done = invoke("export", profile, "--to", to, "--out", out, "--model", checkpoint)
        assert done.exit_code == 0, done.output
        assert ("worst form prefix" in (out / "README.md").read_text()) is measured


def test_directions_become_a_profile(checkpoint: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "d.safetensors", tmp_path / "p.safetensors"
    save_file({"layers.0.block": torch.ones(HIDDEN)}, file)
    options = ["--from", "safetensors", "--model", checkpoint, "--out", out]
    done = invoke("import", file, *options, "--as", "steer", "--strength", "-2")
    assert done.exit_code == 0, done.output
    assert torch.equal(artifact.read(out).projectors[0].B, torch.full((1, HIDDEN), -2.0))


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "safetensors"],
        ["--from", "gguf", "--as", "steer"],
        ["--from", "peft", "--strength", "2"],
        ["--from", "safetensors", "--as", "ablate", "--strength", "2"],
        ["--from", "pickle"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    options: list[str], checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.safetensors"
    assert invoke("import", "x", *options, "--model", checkpoint, "--out", out).exit_code == 2
    assert not out.exists()


def test_what_cannot_be_read_writes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "v.gguf", tmp_path / "p.safetensors"
    file.write_bytes(b"GGUF and no more")
    done = invoke("import", file, "--from", "gguf", "--model", checkpoint, "--out", out)
    assert isinstance(done.exception, InterchangeError)
    assert not out.exists()


def test_a_missing_folder_for_the_artifact_is_said(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "missing" / "p.safetensors"
    done = invoke("import", tmp_path, "--from", "peft", "--model", checkpoint, "--out", out)
    assert isinstance(done.exception, InterchangeError)
    assert "out: expected a folder" in str(done.exception)


@pytest.mark.parametrize("to", ["peft", "merged"])
def test_a_profile_of_another_model_is_not_exported(
    to: str, profile: Path, tmp_path: Path, checkpoint: Path
) -> None:
    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig.from_pretrained(checkpoint)).save_pretrained(tmp_path / "other")
    out = tmp_path / "out"
    done = invoke("export", profile, "--to", to, "--model", tmp_path / "other", "--out", out)
    assert isinstance(done.exception, IncompatibleError)
    assert not out.exists()
