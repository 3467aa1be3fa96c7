"""A profile exported as LoRA, served by stock vLLM, answers like the profile served by Lethe."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from lethe_projections.base_model import BaseModel
from lethe_projections.interchange import peft_export
from lethe_projections.profile import Profile

from .conftest import Start, running, sampling
from .prompts import PROMPTS
from .variants import low_rank, without_bias

TOLERANCE = 1e-3
EFFECT = 100 * TOLERANCE
STEPS = 3

pytestmark = pytest.mark.timeout(900)

Step = dict[int, float]
"""Token to log-probability, the top 20."""


def profile(base: BaseModel) -> Profile:
    """Three layers of two ranks, neither of them permitted by vLLM's LoRA."""
    wide = low_rank(base, "down_proj", (3, 20), rank=12, scale=0.12, seed=5)
    narrow = low_rank(base, "down_proj", (12,), rank=5, scale=0.12, seed=6)
    return without_bias(Profile(base, (*wide.projectors, *narrow.projectors), "synthetic"))


def steps(outputs: list[Any]) -> list[Step]:
    return [
        {token: entry.logprob for token, entry in step.items()}
        for output in outputs
        for step in output.outputs[0].logprobs
    ]


def ask(llm: Any, name: str | None = None, lora: Any = None) -> list[Step]:
    wanted = sampling(name, max_tokens=STEPS, logprobs=20, ignore_eos=True)
    return steps(llm.generate(list(PROMPTS), wanted, use_tqdm=False, lora_request=lora))


def move(one: Step, other: Step) -> float:
    """The largest difference; a token that is not in the other's top 20 counts as its last."""
    last = min(other.values())
    return max(abs(value - other.get(token, last)) for token, value in one.items())


@pytest.fixture(scope="module")
def served(start: Start, base: BaseModel) -> dict[str, list[Step]]:
    with start({"edited": profile(base)}) as llm:
        return {"base": ask(llm), "lethe": ask(llm, "edited")}


def first(found: list[Step]) -> list[Step]:
    """Each prompt's first step, where the two have read the same tokens."""
    return found[::STEPS]


def check(found: list[Step], served: dict[str, list[Step]]) -> None:
    """Compares with Lethe's variant, and guards with the base.

    Raises:
        AssertionError: too far from the variant, or too near to the base.
    """
    assert max(map(move, found, served["lethe"])) < TOLERANCE
    effect = min(map(move, first(found), first(served["base"])))
    assert effect > EFFECT, "the edit hardly moves the model: this test would prove nothing"


def test_stock_multi_lora_serves_the_exported_adapter_as_lethe_serves_the_profile(
    checkpoint: str, base: BaseModel, served: dict[str, list[Step]], tmp_path: Path
) -> None:
    from vllm.lora.request import LoRARequest

    rank = peft_export.write(profile(base), tmp_path / "lora", checkpoint)
    lora = {"enable_lora": True, "max_lora_rank": rank, "lora_dtype": torch.float32}
    with running(checkpoint, tmp_path / "cache", **lora) as llm:
        found = ask(llm, lora=LoRARequest("edited", 1, str(tmp_path / "lora")))
        plain = ask(llm)
    check(found, served)
    assert max(map(move, plain, served["base"])) < TOLERANCE


def test_the_permitted_ranks_are_vllms() -> None:
    from vllm.config.lora import MaxLoRARanks

    assert get_args(MaxLoRARanks) == peft_export.RANKS
