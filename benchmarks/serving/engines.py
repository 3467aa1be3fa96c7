"""Engines in this process, and the requests of a case for each."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks.serving import edits
from benchmarks.serving.cases import Case
from lethe_projections import embedded
from lethe_projections.base_model import BaseModel

MOST_VARIANTS = 256
ADAPTERS = 64

EXTRA: dict[str, dict[str, Any]] = {
    "stock": {},
    "lethe": {"additional_config": {"lethe": {}}},
    "again": {},
    "lora": {"enable_lora": True, "max_loras": ADAPTERS, "max_lora_rank": 16},
    "lora-64": {"enable_lora": True, "max_loras": ADAPTERS, "max_lora_rank": 64},
}
"""By engine, what it has beyond stock. Room for a larger rank makes every smaller one slower."""


def start(name: str, eager: bool) -> Any:
    """A `vllm.LLM` whose steps run in this process, one by one."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM

    return LLM(
        str(embedded.prepare()), enforce_eager=eager, max_model_len=256,
        max_num_seqs=ADAPTERS if name.startswith("lora") else MOST_VARIANTS,
        max_num_batched_tokens=4096, kv_cache_memory_bytes=1 << 29,
        enable_prefix_caching=False, **EXTRA[name],
    )  # fmt: skip


class Requests:
    """Hands the requests of a case to an engine; makes the variants they need once.

    Attributes:
        base: the embedded model.
    """

    def __init__(self, folder: Path) -> None:
        self.base = BaseModel.from_checkpoint(str(embedded.prepare()))
        self._folder = folder
        self._ids = count()
        self._made: dict[tuple[str, int, int, int], Any] = {}

    def prepare(self, llm: Any, case: Case) -> None:
        """Makes the case's variants, so that no measured step does."""
        for seed in range(case.variants):
            key = (case.engine, seed, case.rank, case.blocks)
            if key not in self._made:
                self._made[key] = self._variant(llm, seed, case)

    def add(self, llm: Any, case: Case, edited: bool) -> None:
        """Adds one batch to an engine, without a step; `edited` as the case says, or base."""
        for prompt, variant in zip(_prompts(case), self._chosen(case), strict=True):
            extra = {}
            if edited and variant is not None and case.adapters:
                extra = {"lora_request": variant}
            named = variant if edited and case.engine == "lethe" else None
            llm.llm_engine.add_request(
                str(next(self._ids)), {"prompt_token_ids": prompt}, _sampling(case, named), **extra
            )

    def _chosen(self, case: Case) -> Iterator[Any]:
        for n in range(case.requests):
            key = (case.engine, n % case.variants if case.variants else -1, case.rank, case.blocks)
            yield self._made.get(key)

    def _variant(self, llm: Any, seed: int, case: Case) -> Any:
        if case.adapters:
            from vllm.lora.request import LoRARequest

            path = edits.adapter(seed, case, self.base, self._folder)
            return LoRARequest(path.name, len(self._made) + 1, str(path))
        from lethe_vllm import offline

        name = f"v{seed}-{case.rank}-{case.blocks}"
        offline.put_profile(llm, name, edits.profile(seed, case, self.base))
        return name


def _sampling(case: Case, variant: str | None) -> Any:
    from vllm import SamplingParams

    extra = None if variant is None else {"unlearning_profile": variant}
    return SamplingParams(
        temperature=0.0, max_tokens=case.load.output, ignore_eos=True, extra_args=extra
    )


def _prompts(case: Case) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    shape = (case.requests, case.load.prompt)
    prompts: list[list[int]] = torch.randint(1000, 40000, shape, generator=generator).tolist()
    return prompts
