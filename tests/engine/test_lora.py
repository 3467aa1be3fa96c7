"""LoRA adapters beside profiles, on the same request and in the same batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections.base_model import BaseModel

from .conftest import Start, sampling
from .oracle import STEPS, check, check_outputs, expected
from .prompts import PROMPTS
from .variants import assorted, conditional

NAMES = ("block", "mlp", "down", "sigmoid", "hard")

pytestmark = [pytest.mark.timeout(900), pytest.mark.path("LoRA on the same request")]


@pytest.fixture(scope="module")
def adapted(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """transformers with an adapter on attention and MLP, through peft, and the adapter's folder."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    config = LoraConfig(
        r=8, lora_alpha=16, target_modules=["q_proj", "up_proj", "down_proj"],
        init_lora_weights=False, task_type="CAUSAL_LM",
    )  # fmt: skip
    with_adapter = get_peft_model(model, config)
    folder = tmp_path_factory.mktemp("adapter")
    with_adapter.save_pretrained(folder)
    return with_adapter.merge_and_unload(), folder


@pytest.fixture(scope="module")
def engine(start: Start, base: BaseModel) -> Iterator[Any]:
    options = {"enable_lora": True, "max_lora_rank": 8, "max_loras": 1}
    with start(assorted(base) | conditional(base), **options) as llm:
        yield llm


def ask(engine: Any, name: str, adapter: Path | None) -> list[Any]:
    from vllm.lora.request import LoRARequest

    lora = None if adapter is None else LoRARequest("adapter", 1, str(adapter))
    wanted = sampling(name, max_tokens=STEPS, logprobs=20, ignore_eos=True)
    return engine.generate(list(PROMPTS), wanted, lora_request=lora, use_tqdm=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_adapter", [True, False])
def test_a_variant_with_and_without_an_adapter_equals_transformers(
    name: str,
    with_adapter: bool,
    engine: Any,
    base: BaseModel,
    transformers_model: Any,
    adapted: tuple[Any, Path],
) -> None:
    profile = (assorted(base) | conditional(base))[name]
    model = adapted[0] if with_adapter else transformers_model
    outputs = ask(engine, name, adapted[1] if with_adapter else None)
    check_outputs(outputs, profile, model)


def test_the_base_with_an_adapter_equals_transformers(
    engine: Any, transformers_model: Any, adapted: tuple[Any, Path]
) -> None:
    outputs = ask(engine, "base", adapted[1])
    check(outputs, expected(adapted[0], outputs), expected(transformers_model, outputs))
