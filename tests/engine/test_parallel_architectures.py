"""Tensor parallel shards of models that vLLM runs through its transformers backend."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel

from .. import tiny_models
from ..cores import bound
from .conftest import LETHE, put, running
from .one_process import Answers, Question, generated
from .test_architectures import (
    HOOKS,
    LLAMA,
    PATHS,
    TOLERANCE,
    Case,
    check_hooks,
    largest_moves,
    profiles,
    question,
)

RANKS = 2

pytestmark = [pytest.mark.timeout(900), pytest.mark.path("tensor parallel")]


@pytest.fixture(scope="module", params=["Olmo2ForCausalLM", "GPTNeoXForCausalLM"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, str, Any, Question]]:
    architecture = request.param
    model, checkpoint = tiny_models.save(architecture, tmp_path_factory.mktemp(architecture))
    served = profiles(architecture, BaseModel.from_checkpoint(checkpoint))
    options = {
        "tensor_parallel_size": RANKS,
        "skip_tokenizer_init": True,
        "max_model_len": 128,
        "kv_cache_memory_bytes": 1 << 26,
        "additional_config": LETHE,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_OMP_THREADS_BIND", bound(RANKS))
        patch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")
        with running(checkpoint, tmp_path_factory.mktemp("vllm"), apart=True, **options) as llm:
            put(llm, served)
            yield llm, architecture, model, question(architecture, checkpoint, "", served)


def test_every_rank_reads_its_part_of_what_down_proj_reads(engine: Any) -> None:
    llm, architecture, *_ = engine

    # Here, so that it travels by its code: the workers cannot import this file.
    def width(worker: Any, name: str) -> int:
        linear = worker.model_runner.get_model().get_submodule(name)
        return int(linear.input_size_per_partition)

    name = PATHS.get(architecture, LLAMA)["down_proj"].format(1)
    name = name.replace("gpt_neox.", "model.")
    assert llm.collective_rpc(width, args=(name,)) == [tiny_models.D_FF // RANKS] * RANKS


def test_a_variant_at_every_hook_equals_plain_hooks_on_transformers(engine: Any) -> None:
    llm, architecture, model, asked = engine
    names = (None, "base", *HOOKS)
    texts = {name: generated(llm, name, asked) for name in names}
    served = profiles(architecture, BaseModel.from_checkpoint(asked.checkpoint))
    case = Case(architecture, model, served, Answers(texts, {}, {}))
    for name in (None, "base"):
        assert max(largest_moves(case, name)) < TOLERANCE
    assert case.profiles.keys() == set(HOOKS)
    check_hooks(case)
