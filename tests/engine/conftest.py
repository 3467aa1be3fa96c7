"""Real vLLM engines on the embedded model, one per module: starting one takes half a minute."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import artifact, embedded
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_vllm import offline

Engine = Callable[..., Any]


@pytest.fixture(scope="session")
def checkpoint() -> str:
    return str(embedded.prepare())


@pytest.fixture(scope="session")
def base(checkpoint: str) -> BaseModel:
    return BaseModel.from_checkpoint(checkpoint)


@pytest.fixture(scope="session")
def transformers_model(checkpoint: str) -> Any:
    """The independent reference, in float32."""
    from transformers import AutoModelForCausalLM

    # vLLM leaves this process one thread; the reference may use them all, since engines idle then.
    torch.set_num_threads(os.cpu_count() or 1)
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def tokenizer(checkpoint: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(checkpoint)


@contextmanager
def running(checkpoint: str, cache: Path, **options: Any) -> Iterator[Any]:
    """An `LLM` with its own cache folder, stopped on exit."""
    from vllm import LLM

    before = os.environ.get("VLLM_CACHE_ROOT")
    os.environ["VLLM_CACHE_ROOT"] = str(cache)
    settings = {
        "dtype": "float32",
        "max_model_len": 2048,
        "kv_cache_memory_bytes": 1 << 30,
        "max_logprobs": 20,
        "enforce_eager": True,
    }
    llm = LLM(checkpoint, **(settings | options))
    try:
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()
        if before is None:
            del os.environ["VLLM_CACHE_ROOT"]
        else:
            os.environ["VLLM_CACHE_ROOT"] = before


LETHE = {"lethe": {"sites": "block,attn,mlp,down_proj"}}
"""Every hook at every layer."""


def on_path(name: str, path: str | None = None) -> Any:
    """A fixture's parameter under which its tests show a path of vLLM exact."""
    return pytest.param(name, marks=pytest.mark.path(path or name))


def put(llm: Any, profiles: dict[str, Profile]) -> None:
    for name, profile in profiles.items():
        offline.put_profile(llm, name, artifact.to_bytes(profile))


def sampling(profile: str | None = None, **options: Any) -> Any:
    """Greedy sampling parameters; `profile` None sends no selection at all."""
    from vllm import SamplingParams

    extra = {} if profile is None else {"extra_args": {"unlearning_profile": profile}}
    return SamplingParams(**({"temperature": 0.0, "max_tokens": 16} | options | extra))


def tokens(outputs: list[Any]) -> list[list[int]]:
    return [list(output.outputs[0].token_ids) for output in outputs]
