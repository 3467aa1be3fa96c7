"""Speculative decoding: the target model is edited, drafts are only guesses."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel

from .conftest import Start, on_path, sampling
from .oracle import check_all
from .prompts import PROMPTS
from .variants import contrasting

DRAFTS = {
    "ngram": {"method": "ngram", "prompt_lookup_max": 3, "prompt_lookup_min": 1},
    # The same model, unedited: it guesses right for the base and often wrong for variants.
    "draft model": {"method": "draft_model"},
}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(
    scope="module",
    params=[on_path(name, f"speculative decoding, {name}") for name in DRAFTS],
)
def engine(
    request: pytest.FixtureRequest, start: Start, checkpoint: str, base: BaseModel
) -> Iterator[Any]:
    drafts = DRAFTS[request.param] | {"num_speculative_tokens": 3}
    if request.param == "draft model":
        drafts["model"] = checkpoint
    options = {"speculative_config": drafts, "disable_log_stats": False}
    # vLLM changes its worker's process for speculation, for good.
    with start(contrasting(base), apart=True, **options) as llm:
        yield llm


def test_variants_and_the_base_equal_transformers(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    check_all(engine, contrasting(base), transformers_model)


def test_drafts_are_accepted_and_rejected(engine: Any) -> None:
    """The guard of the tests above, which pass without any speculation too."""
    for name in ("base", "block"):
        engine.generate(list(PROMPTS), sampling(name), use_tqdm=False)
    counted = {metric.name: metric for metric in engine.get_metrics()}
    drafted = counted["vllm:spec_decode_num_draft_tokens"].value
    accepted = counted["vllm:spec_decode_num_accepted_tokens"].value
    assert 0 < accepted < drafted
