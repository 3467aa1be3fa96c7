"""Where no profile is in play, nothing changes: stock vLLM's tokens, and no shared graphs.

Three compiled engines on one cache folder: stock, Lethe, and stock again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_vllm.errors import UnsupportedError

from .conftest import Subject, put, running, sampling, tokens
from .prompts import PROMPTS
from .variants import low_rank

Answers = dict[str, list[list[int]]]

pytestmark = pytest.mark.timeout(900)


def profiles(base: BaseModel) -> dict[str, Profile]:
    return {
        "mlp": low_rank(base, "mlp", (0, 2), rank=4, scale=0.15, seed=4),
        "down": low_rank(base, "down_proj", (0, 1, 3), rank=16, scale=0.15, seed=5),
    }


def stock_answers(checkpoint: str, cache: Path) -> Answers:
    """What an engine without Lethe answers (""), on which naming a profile is an error."""
    with running(checkpoint, cache, apart=True, enforce_eager=False, dtype="bfloat16") as llm:
        answers = {"": ask(llm, None)}
        with pytest.raises(UnsupportedError, match="lethe serve"):
            ask(llm, "mlp")
    return answers


def lethe_answers(checkpoint: str, cache: Path) -> Answers:
    """What an engine with Lethe answers: without a selection (""), and as each variant."""
    variants = profiles(BaseModel.from_checkpoint(checkpoint))
    lethe = {"additional_config": {"lethe": {}}}
    with running(
        checkpoint, cache, apart=True, enforce_eager=False, dtype="bfloat16", **lethe
    ) as llm:
        put(llm, variants)
        return {"": ask(llm, None)} | {name: ask(llm, name) for name in variants}


def ask(llm: Any, name: str | None) -> list[list[int]]:
    wanted = sampling(name, max_tokens=32, ignore_eos=True)
    return tokens(llm.generate(list(PROMPTS), wanted, use_tqdm=False))


@dataclass(frozen=True)
class Run:
    """What an engine answered, and the graphs that the cache held after it."""

    answers: Answers
    graphs: frozenset[str]


@pytest.fixture(scope="module")
def runs(shallow: Subject, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    cache = tmp_path_factory.mktemp("shared")

    def run(answers: Callable[[str, Path], Answers]) -> Run:
        found = answers(shallow.checkpoint, cache)
        graphs = (cache / "torch_compile_cache" / "torch_aot_compile").iterdir()
        return Run(found, frozenset(folder.name for folder in graphs))

    return [run(stock_answers), run(lethe_answers), run(stock_answers)]


@pytest.mark.path("torch.compile, shared compile cache")
def test_base_tokens_are_stock_vllms(runs: list[Run]) -> None:
    stock, lethe, _ = runs
    assert lethe.answers[""] == stock.answers[""]


def test_a_run_with_lethe_on_a_cache_that_stock_filled_is_edited(runs: list[Run]) -> None:
    stock, lethe, _ = runs
    assert stock.graphs < lethe.graphs, "expected a graph of its own"
    for name in ("mlp", "down"):
        pairs = zip(lethe.answers[name], stock.answers[""], strict=True)
        moved = sum(edited != plain for edited, plain in pairs)
        assert moved > len(PROMPTS) / 2, f"{name} moved only {moved} answers"


def test_a_stock_run_on_a_cache_that_lethe_filled_is_not_edited(runs: list[Run]) -> None:
    stock, lethe, again = runs
    assert again.answers == stock.answers
    assert again.graphs == lethe.graphs, "expected the graph that stock made before"
