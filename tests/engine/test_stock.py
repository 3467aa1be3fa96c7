"""Where no profile is in play, nothing changes: stock vLLM's tokens, and no shared graphs.

Four compiled engines on two cache folders: stock and then Lethe on one, Lethe and then stock on
the other.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lethe_projections.base_model import BaseModel
from lethe_vllm.errors import UnsupportedError

from .conftest import put, running, sampling, tokens
from .prompts import PROMPTS
from .variants import assorted

Answers = dict[str, list[list[int]]]

pytestmark = pytest.mark.timeout(1800)

NAMES = ("mlp", "down")


def answers(
    checkpoint: str, cache: Path, base: BaseModel | None, names: tuple[str, ...] = ()
) -> Answers:
    """What one engine answers, without selection and as each named variant."""
    lethe = {} if base is None else {"additional_config": {"lethe": {}}}
    with running(checkpoint, cache, enforce_eager=False, dtype="bfloat16", **lethe) as llm:
        if base is not None:
            put(llm, {name: assorted(base)[name] for name in names})
        found = {
            name: tokens(llm.generate(list(PROMPTS), sampling(name or None, max_tokens=32)))
            for name in ("", *names)
        }
        if base is None:
            with pytest.raises(UnsupportedError, match="lethe serve"):
                llm.generate([PROMPTS[0]], sampling("block"))
    return found


@pytest.fixture(scope="module")
def runs(
    checkpoint: str, base: BaseModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Answers]]:
    shared, own = tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("own")
    yield {
        "stock": answers(checkpoint, own, None),
        "lethe on stock's cache": answers(checkpoint, own, base, NAMES),
        "lethe": answers(checkpoint, shared, base, NAMES),
        "stock on lethe's cache": answers(checkpoint, shared, None),
    }


def test_base_tokens_are_stock_vllms(runs: dict[str, Answers]) -> None:
    for run in ("lethe", "lethe on stock's cache"):
        assert runs[run][""] == runs["stock"][""]


def test_a_stock_run_on_a_cache_that_lethe_filled_is_not_edited(runs: dict[str, Answers]) -> None:
    assert runs["stock on lethe's cache"][""] == runs["stock"][""]


def test_a_run_with_lethe_on_a_cache_that_stock_filled_is_edited(runs: dict[str, Answers]) -> None:
    for name in NAMES:
        assert runs["lethe on stock's cache"][name] == runs["lethe"][name]
        assert runs["lethe"][name] != runs["stock"][""], f"{name} does nothing"
