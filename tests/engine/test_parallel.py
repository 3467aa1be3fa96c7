"""Variants over several ranks: tensor parallel shards, and pipeline stages."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import LetheError
from lethe_projections.profile import Profile

from ..cores import bound
from .conftest import Start, Subject, on_path, put
from .oracle import Request, check_all, check_alone
from .prompts import PROMPTS
from .variants import assorted, conditional, contrasting, low_rank

LAYOUTS = {
    "TP=3": ("tensor parallel", "whole", {"tensor_parallel_size": 3, "enforce_eager": True}),
    # Eager pipelines fail in stock vLLM 0.32.0 on CPUs: their warm-up passes no activations on.
    "PP=2 compiled": (
        "pipeline parallel, compiled",
        "shallow",
        {"pipeline_parallel_size": 2, "enforce_eager": False},
    ),
}
"""Path, model and options; the model has 9 heads and 3 KV heads, so 3 ranks share it evenly."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(
    scope="module",
    params=[on_path(name, path) for name, (path, _, _) in LAYOUTS.items()],
)
def layout(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest, layout: str) -> Subject:
    found: Subject = request.getfixturevalue(LAYOUTS[layout][1])
    return found


@pytest.fixture(scope="module")
def engine(
    layout: str, subject: Subject, start: Start, monkeypatch_module: pytest.MonkeyPatch
) -> Iterator[Any]:
    options = LAYOUTS[layout][2]
    ranks = options.get("tensor_parallel_size", 1) * options.get("pipeline_parallel_size", 1)
    monkeypatch_module.setenv("VLLM_CPU_OMP_THREADS_BIND", bound(ranks))
    with start(variants(subject.base), subject.checkpoint, apart=True, **options) as llm:
        yield llm


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def variants(base: BaseModel) -> dict[str, Profile]:
    return contrasting(base) | {"attn": assorted(base)["attn"]}


def test_variants_and_the_base_equal_transformers(engine: Any, subject: Subject) -> None:
    check_all(engine, variants(subject.base), subject.reference)


def test_variants_in_one_batch_equal_each_alone(engine: Any, subject: Subject) -> None:
    names = ["base", *variants(subject.base)]
    check_alone(
        engine, [Request(prompt, names[n % len(names)], 8) for n, prompt in enumerate(PROMPTS)]
    )


def test_a_gate_that_reads_a_sharded_input_is_refused(engine: Any, subject: Subject) -> None:
    hard = {"hard": conditional(subject.base)["hard"]}
    if engine.llm_engine.vllm_config.parallel_config.tensor_parallel_size == 1:
        put(engine, hard)
        return
    for _ in range(2):
        with pytest.raises(LetheError, match="tensor parallel"):
            put(engine, hard)


def test_after_a_refusal_profiles_are_loaded_and_served_as_before(
    engine: Any, subject: Subject
) -> None:
    layers = (0, subject.base.num_layers // 2, subject.base.num_layers - 1)
    late = low_rank(subject.base, "mlp", layers, rank=3, scale=0.16, seed=21)
    absent = low_rank(subject.base, "attn", (0,), rank=3, scale=0.1, seed=22)
    for name in ("one", "two"):
        with pytest.raises(Exception, match="expected the artifact"):
            engine.collective_rpc("lethe_load", args=("0" * 64, artifact.to_bytes(absent)))
        put(engine, {name: late})
        check_all(engine, {name: late}, subject.reference)
