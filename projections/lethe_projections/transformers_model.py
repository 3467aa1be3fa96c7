"""A checkpoint as transformers loads it, from what is on this machine alone."""

from pathlib import Path
from typing import Any

from lethe_projections.errors import CheckpointError


def load(checkpoint: str | Path, dtype: Any = "auto") -> tuple[Any, Any]:
    """The causal language model and its tokenizer.

    Args:
        checkpoint: a folder, or a Hugging Face id that was downloaded before.
        dtype: a torch dtype, or `auto` for the checkpoint's own.

    Raises:
        CheckpointError: transformers cannot load one of the two.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        # Never a pickle, whatever else lies in the folder.
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=dtype, local_files_only=True, use_safetensors=True
        )
        return model, AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{checkpoint}: expected a model and a tokenizer that transformers loads, found "
            f"{error}; complete the checkpoint"
        ) from error
