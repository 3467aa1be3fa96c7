"""Real vLLM engines on the embedded model, one per module."""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import artifact, embedded
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_vllm import offline

from . import first_blocks

Start = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="session")
def checkpoint() -> str:
    return str(embedded.prepare())


@pytest.fixture(scope="session")
def base(checkpoint: str) -> BaseModel:
    return BaseModel.from_checkpoint(checkpoint)


@pytest.fixture(scope="session")
def transformers_model(checkpoint: str) -> Any:
    return in_transformers(checkpoint)


def in_transformers(checkpoint: str) -> Any:
    """The independent reference, in float32."""
    from transformers import AutoModelForCausalLM

    # vLLM leaves this process one thread; the reference may use them all, since engines idle then.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()


@dataclass(frozen=True)
class Subject:
    """A model to serve, and what to judge by.

    Attributes:
        checkpoint: its folder.
        base: its identity.
        reference: in transformers, in float32.
    """

    checkpoint: str
    base: BaseModel
    reference: Any


@pytest.fixture(scope="session")
def whole(checkpoint: str, base: BaseModel, transformers_model: Any) -> Subject:
    """The embedded model."""
    return Subject(checkpoint, base, transformers_model)


@pytest.fixture(scope="session")
def shallow(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Its first blocks, for engines that compile."""
    folder = first_blocks.save(checkpoint, tmp_path_factory.mktemp("model") / "shallow")
    return Subject(folder, BaseModel.from_checkpoint(folder), in_transformers(folder))


@pytest.fixture(scope="session")
def tokenizer(checkpoint: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(checkpoint)


@contextmanager
def running(checkpoint: str, cache: Path, *, apart: bool = False, **options: Any) -> Iterator[Any]:
    """An `LLM` with its own cache folder, stopped on exit.

    It runs in this process and starts in seconds; or `apart`, in processes as vLLM's users have
    it. Those take half a minute, most of which goes into importing vLLM in each.
    """
    from vllm import LLM

    register(checkpoint)
    settings = {
        "dtype": "float32",
        "max_model_len": 2048,
        "kv_cache_memory_bytes": 1 << 29,
        "max_logprobs": 20,
        "enforce_eager": True,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CACHE_ROOT", str(cache))
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", str(int(apart)))
        # vLLM's worker makes it do nothing, for good: here, that is for this process.
        patch.setattr(torch, "set_num_threads", torch.set_num_threads)
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        llm = LLM(checkpoint, **(settings | options))
        try:
            yield llm
        finally:
            llm.llm_engine.engine_core.shutdown()
            del llm
            gc.collect()


def register(checkpoint: str) -> None:
    """Tells vLLM the model's class, or it would start a process to look at it: 10 seconds."""
    from transformers import AutoConfig
    from vllm import ModelRegistry

    [architecture] = AutoConfig.from_pretrained(checkpoint).architectures
    known: Any = ModelRegistry.models[architecture]
    if hasattr(known, "module_name"):
        found = getattr(import_module(known.module_name), known.class_name)
        ModelRegistry.register_model(architecture, found)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts an engine, asks it and stops it; all of a module's in one process of their own."""
    # Here, because that module needs this one.
    from .one_process import engines

    with engines(tmp_path_factory.mktemp("vllm")) as asking:
        yield asking


LETHE = {"lethe": {"sites": "block,attn,mlp,down_proj"}}
"""Every hook at every layer."""


def on_path(name: str, path: str | None = None) -> Any:
    """A fixture's parameter under which its tests show a path of vLLM exact."""
    return pytest.param(name, marks=pytest.mark.path(path or name))


@pytest.fixture(scope="session")
def start(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts an engine that serves these profiles: `with start(profiles, **options) as llm`.

    It runs the embedded model, or that of another `checkpoint`.
    """

    @contextmanager
    def started(
        profiles: Mapping[str, Profile], checkpoint: str = checkpoint, **options: Any
    ) -> Iterator[Any]:
        settings = {"additional_config": LETHE} | options
        with running(checkpoint, tmp_path_factory.mktemp("vllm"), **settings) as llm:
            put(llm, profiles)
            yield llm

    return started


def put(llm: Any, profiles: Mapping[str, Profile]) -> None:
    for name, profile in profiles.items():
        offline.put_profile(llm, name, artifact.to_bytes(profile))


def sampling(profile: str | None = None, **options: Any) -> Any:
    """Greedy sampling parameters; `profile` None sends no selection at all."""
    from vllm import SamplingParams

    extra = {} if profile is None else {"extra_args": {"unlearning_profile": profile}}
    return SamplingParams(**({"temperature": 0.0, "max_tokens": 16} | options | extra))


def tokens(outputs: list[Any]) -> list[list[int]]:
    return [list(output.outputs[0].token_ids) for output in outputs]
