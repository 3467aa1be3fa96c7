"""The embedded model is real: prepared once, and SmolLM2's own tokenizer."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from lethe_projections import embedded
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import CheckpointError


@pytest.fixture(scope="module")
def folder() -> Path:
    return embedded.prepare()


def test_it_is_a_plain_checkpoint_of_the_expected_size(folder: Path) -> None:
    base = BaseModel.from_checkpoint(folder)
    assert base.architecture == "LlamaForCausalLM"
    assert (base.hidden_size, base.num_layers, base.intermediate_size) == (576, 30, 1536)
    assert base.vocab_size == 49152
    assert "quantization_config" not in (folder / "config.json").read_text()


def test_a_second_call_reuses_the_folder(folder: Path) -> None:
    before = (folder / "model.safetensors").stat().st_mtime_ns
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: embedded.prepare(), range(4))) == {folder}
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_damaged_folder_is_built_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []

    def copy(_source: Path, target: Path) -> None:
        built.append(target)
        ignored = shutil.ignore_patterns("lethe-embedded.json")
        shutil.copytree(folder, target, dirs_exist_ok=True, ignore=ignored)

    monkeypatch.setattr(embedded, "_convert", copy)
    prepared = embedded.prepare(tmp_path)
    assert embedded.prepare(tmp_path) == prepared
    assert len(built) == 1
    os.truncate(prepared / "model.safetensors", 1000)
    assert embedded.prepare(tmp_path) == prepared
    assert len(built) == 2
    (prepared / "lethe-embedded.json").write_text("[]")
    embedded.prepare(tmp_path)
    assert len(built) == 3
    assert {path.name for path in tmp_path.iterdir()} == {prepared.name, ".lock"}


def test_the_tokenizer_and_template_are_smollm2s(folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    embedded.check_tokenizer(tokenizer)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], return_dict=False)
    assert tokenizer.decode(ids).startswith("<|im_start|>system\nYou are a helpful AI assistant")
    assert GenerationConfig.from_pretrained(folder).eos_token_id == tokenizer.eos_token_id == 2
    assert tokenizer.model_max_length == 8192


def test_another_tokenizer_is_refused(tokenizer: Any) -> None:
    with pytest.raises(CheckpointError, match="special tokens"):
        embedded.check_tokenizer(tokenizer)


def test_it_knows_the_capital_of_france(folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    found = model.generate(**prompt, max_new_tokens=16, do_sample=False)
    assert "Paris" in tokenizer.decode(found[0, prompt["input_ids"].shape[1] :])


def test_only_its_own_name_resolves_to_it(folder: Path) -> None:
    assert embedded.resolve("embedded") == str(folder)
    assert embedded.resolve("org/model") == "org/model"
