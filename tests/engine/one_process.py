"""Many engines, one after another in one process of their own.

There, an engine of a tiny model starts in 3 seconds. In processes of its own it takes 30, most of
which go into importing vLLM three times: in the engine core, in the worker, and in the process in
which vLLM looks at the model's class.
"""

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import register, sampling

ROOT = Path(__file__).resolve().parents[2]

Prompt = list[int]
Tops = list[dict[int, float]]
"""Per step, the log-probabilities of the likeliest tokens."""


@dataclass(frozen=True)
class Question:
    """What to ask one engine.

    Attributes:
        checkpoint: the model, without a tokenizer.
        eager: not compiled.
        sites: as `--sites`.
        profiles: artifacts to serve, by name.
        refused: artifacts that the engine shall refuse, by name.
        prompts: token ids.
        steps: tokens to generate.
        dtype: what the engine computes in.
    """

    checkpoint: str
    eager: bool
    sites: str
    profiles: Mapping[str, bytes]
    refused: Mapping[str, bytes]
    prompts: Sequence[Prompt]
    steps: int
    dtype: str = "float32"


@dataclass(frozen=True)
class Answers:
    """What it answered.

    Attributes:
        texts: by profile, None for no selection and "base" included, one for each prompt: the
            tokens generated, and the top 20 of each step.
        absent: sites that the model does not have, and why.
        refusals: by name, what the engine said.
    """

    texts: dict[str | None, list[tuple[list[int], Tops]]]
    absent: dict[str, str]
    refusals: dict[str, str]


@contextmanager
def engines(cache: Path) -> Iterator[Callable[[Question], Answers]]:
    """A function that starts an engine, asks it, and stops it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        patch.setenv("VLLM_CACHE_ROOT", str(cache))
        patch.setenv("HF_HUB_OFFLINE", "1")
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
            yield lambda question: pool.submit(_ask, question).result()


def _ask(question: Question) -> Answers:
    from lethe_vllm import offline

    llm = _start(question)
    try:
        refusals = {}
        for name, data in question.refused.items():
            with pytest.raises(Exception, match="expected") as raised:
                offline.put_profile(llm, name, data)
            refusals[name] = str(raised.value)
        for name, data in question.profiles.items():
            offline.put_profile(llm, name, data)
        [status] = llm.llm_engine.collective_rpc("lethe_status")
        names = (None, "base", *question.profiles)
        texts = {name: generated(llm, name, question) for name in names}
        return Answers(texts, status["absent"], refusals)
    finally:
        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()


def _start(question: Question) -> Any:
    from vllm import LLM

    register(question.checkpoint)
    return LLM(
        question.checkpoint,
        dtype=question.dtype,
        skip_tokenizer_init=True,
        max_model_len=128,
        kv_cache_memory_bytes=1 << 26,
        max_logprobs=20,
        enforce_eager=question.eager,
        distributed_executor_backend="uni",
        additional_config={"lethe": {"sites": question.sites}},
    )


def generated(llm: Any, name: str | None, question: Question) -> list[tuple[list[int], Tops]]:
    wanted = sampling(
        name, max_tokens=question.steps, logprobs=20, ignore_eos=True, detokenize=False
    )
    prompts = [{"prompt_token_ids": prompt} for prompt in question.prompts]
    outputs = llm.generate(prompts, wanted, use_tqdm=False)
    return [_plain(output.outputs[0]) for output in outputs]


def _plain(answer: Any) -> tuple[list[int], Tops]:
    tops = [{token: one.logprob for token, one in step.items()} for step in answer.logprobs]
    return list(answer.token_ids), tops
