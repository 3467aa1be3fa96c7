"""Speculative decoding: the target model is edited, drafts are only guesses."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel

from .conftest import LETHE, on_path, put, running, sampling
from .oracle import check_base, check_variant
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
    request: pytest.FixtureRequest,
    checkpoint: str,
    base: BaseModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    drafts = DRAFTS[request.param] | {"num_speculative_tokens": 3}
    if request.param == "draft model":
        drafts["model"] = checkpoint
    cache = tmp_path_factory.mktemp("vllm")
    with running(
        checkpoint, cache, additional_config=LETHE, speculative_config=drafts,
        disable_log_stats=False,
    ) as llm:  # fmt: skip
        put(llm, contrasting(base))
        yield llm


def test_every_variant_equals_the_edit_in_transformers(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    for name, profile in contrasting(base).items():
        check_variant(engine, name, profile, transformers_model)


def test_the_base_equals_transformers(engine: Any, transformers_model: Any) -> None:
    check_base(engine, transformers_model)


def test_drafts_are_accepted_and_rejected(engine: Any) -> None:
    """The guard of the tests above, which pass without any speculation too."""
    for name in ("base", "block"):
        engine.generate(list(PROMPTS), sampling(name), use_tqdm=False)
    counted = {metric.name: metric for metric in engine.get_metrics()}
    drafted = counted["vllm:spec_decode_num_draft_tokens"].value
    accepted = counted["vllm:spec_decode_num_accepted_tokens"].value
    assert 0 < accepted < drafted
