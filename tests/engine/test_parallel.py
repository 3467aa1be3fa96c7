"""Variants over several ranks: tensor parallel shards, and pipeline stages."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import LetheError
from lethe_projections.profile import Profile

from .conftest import LETHE, on_path, put, running, sampling, tokens
from .oracle import check_base, check_variant
from .prompts import PROMPTS
from .variants import assorted, conditional, contrasting

LAYOUTS = {
    "TP=3": ("tensor parallel", {"tensor_parallel_size": 3, "enforce_eager": True}),
    # Eager pipelines fail in stock vLLM 0.32.0 on CPUs: their warm-up passes no activations on.
    "PP=2 compiled": (
        "pipeline parallel, compiled",
        {"pipeline_parallel_size": 2, "enforce_eager": False},
    ),
}
"""The embedded model has 9 heads and 3 KV heads, so 3 ranks share it evenly."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(
    scope="module",
    params=[on_path(name, path) for name, (path, _) in LAYOUTS.items()],
)
def engine(
    request: pytest.FixtureRequest,
    checkpoint: str,
    base: BaseModel,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch_module: pytest.MonkeyPatch,
) -> Iterator[Any]:
    _, layout = LAYOUTS[request.param]
    ranks = layout.get("tensor_parallel_size", 1) * layout.get("pipeline_parallel_size", 1)
    monkeypatch_module.setenv("VLLM_CPU_OMP_THREADS_BIND", "|".join(map(str, range(ranks))))
    cache = tmp_path_factory.mktemp("vllm")
    with running(checkpoint, cache, additional_config=LETHE, **layout) as llm:
        put(llm, variants(base))
        yield llm


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def variants(base: BaseModel) -> dict[str, Profile]:
    return contrasting(base) | {"attn": assorted(base)["attn"]}


def test_every_variant_equals_the_edit_in_transformers(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    for name, profile in variants(base).items():
        check_variant(engine, name, profile, transformers_model)


def test_the_base_equals_transformers(engine: Any, transformers_model: Any) -> None:
    check_base(engine, transformers_model)


def test_variants_in_one_batch_equal_each_alone(engine: Any, base: BaseModel) -> None:
    names = ["base", *variants(base)]
    asked = [sampling(names[n % len(names)]) for n in range(len(PROMPTS))]
    together = tokens(engine.generate(list(PROMPTS), asked, use_tqdm=False))
    for prompt, one, served_together in zip(PROMPTS, asked, together, strict=True):
        assert tokens(engine.generate([prompt], one, use_tqdm=False)) == [served_together]


def test_a_gate_that_reads_a_sharded_input_is_refused(engine: Any, base: BaseModel) -> None:
    if engine.llm_engine.vllm_config.parallel_config.tensor_parallel_size == 1:
        put(engine, {"hard": conditional(base)["hard"]})
        return
    with pytest.raises(LetheError, match="tensor parallel"):
        put(engine, {"hard": conditional(base)["hard"]})
