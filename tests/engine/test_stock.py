"""Where no profile is in play, nothing changes: stock vLLM's tokens, and no shared graphs.

Four compiled engines on two cache folders: stock and then Lethe on one, Lethe and then stock on
the other. They run the embedded model's first blocks, since compiling takes time by depth.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_vllm.errors import UnsupportedError

from .conftest import put, running, sampling, tokens
from .prompts import PROMPTS
from .variants import low_rank

Answers = dict[str, list[list[int]]]

DEPTH = 6

pytestmark = pytest.mark.timeout(1800)


def shallow(checkpoint: str, folder: Path) -> str:
    """A copy of the checkpoint with its first `DEPTH` blocks."""
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": DEPTH}))
    [weights] = folder.glob("*.safetensors")
    dropped = tuple(f"model.layers.{n}." for n in range(DEPTH, config["num_hidden_layers"]))
    kept = {
        name: tensor for name, tensor in load_file(weights).items() if not name.startswith(dropped)
    }
    save_file(kept, weights, {"format": "pt"})
    return str(folder)


def profiles(base: BaseModel) -> dict[str, Profile]:
    return {
        "mlp": low_rank(base, "mlp", (0, 4), rank=4, scale=0.15, seed=4),
        "down": low_rank(base, "down_proj", (1, 3, 5), rank=16, scale=0.15, seed=5),
    }


def stock_answers(checkpoint: str, cache: Path) -> list[list[int]]:
    """What an engine without Lethe answers, on which naming a profile is an error."""
    with running(checkpoint, cache, enforce_eager=False, dtype="bfloat16") as llm:
        answers = ask(llm, None)
        with pytest.raises(UnsupportedError, match="lethe serve"):
            ask(llm, "mlp")
    return answers


def lethe_answers(checkpoint: str, cache: Path) -> Answers:
    """What an engine with Lethe answers: without a selection (""), and as each variant."""
    variants = profiles(BaseModel.from_checkpoint(checkpoint))
    lethe = {"additional_config": {"lethe": {}}}
    with running(checkpoint, cache, enforce_eager=False, dtype="bfloat16", **lethe) as llm:
        put(llm, variants)
        return {"": ask(llm, None)} | {name: ask(llm, name) for name in variants}


def ask(llm: Any, name: str | None) -> list[list[int]]:
    wanted = sampling(name, max_tokens=32, ignore_eos=True)
    return tokens(llm.generate(list(PROMPTS), wanted, use_tqdm=False))


@pytest.fixture(scope="module")
def runs(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    model = shallow(checkpoint, tmp_path_factory.mktemp("model") / "shallow")
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    return {
        "stock": stock_answers(model, first),
        "lethe on stock's cache": lethe_answers(model, first),
        "lethe": lethe_answers(model, second),
        "stock on lethe's cache": stock_answers(model, second),
    }


@pytest.mark.path("torch.compile, shared compile cache")
def test_base_tokens_are_stock_vllms(runs: dict[str, Any]) -> None:
    for run in ("lethe", "lethe on stock's cache"):
        assert runs[run][""] == runs["stock"]


def test_a_stock_run_on_a_cache_that_lethe_filled_is_not_edited(runs: dict[str, Any]) -> None:
    assert runs["stock on lethe's cache"] == runs["stock"]


def test_a_run_with_lethe_on_a_cache_that_stock_filled_is_edited(runs: dict[str, Any]) -> None:
    for name in ("mlp", "down"):
        assert runs["lethe on stock's cache"][name] == runs["lethe"][name]
        moved = sum(a != b for a, b in zip(runs["lethe"][name], runs["stock"], strict=True))
        assert moved > len(PROMPTS) / 2, f"{name} moved only {moved} answers"
