"""Adapters that train beside a model's own weights, as anybody fine-tunes: LoRA, by PEFT."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from lethe_projections.errors import LetheError


@contextmanager
def adapted(model: Any, rank: int, seed: int) -> Iterator[list[Tensor]]:
    """Puts LoRA on every linear layer but the output head until the block ends, by an error or not.

    Its scale is 1 (alpha is the rank); there is no dropout.

    Args:
        model: transformers decoder.
        rank: of each adapter.
        seed: of their first weights.

    Yields:
        What is to be trained; the model computes as before until it is.

    Raises:
        LetheError: PEFT is not installed.
    """
    _check_installed()
    from peft import LoraConfig, LoraModel

    config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapters = LoraModel(model, config, "default")
    try:
        yield [one for name, one in model.named_parameters() if "lora_" in name]
    finally:
        adapters.unload()


def version() -> str:
    """Of PEFT.

    Raises:
        LetheError: it is not installed.
    """
    _check_installed()
    return metadata.version("peft")


def _check_installed() -> None:
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise LetheError(
            f"relearning: expected the package peft, found {error}; pip install "
            "'vllm-lethe[evaluation]'"
        ) from error
