"""A checkpoint as transformers loads it, from what is on this machine alone."""

from pathlib import Path
from typing import Any

from lethe_projections.errors import CheckpointError

_COMPRESSED = "compressed-tensors"


def load(checkpoint: str | Path, dtype: Any = "auto") -> tuple[Any, Any]:
    """The causal language model, in floating point, and its tokenizer.

    A compressed-tensors checkpoint is dequantised, and its layers' inputs are not rounded: so it
    has weights to read, and gradients.

    Args:
        checkpoint: a folder, or a Hugging Face id that was downloaded before.
        dtype: a torch dtype, or `auto` for the checkpoint's own.

    Raises:
        CheckpointError: transformers cannot load one of the two, or it is quantised otherwise.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        config = _config(checkpoint)
        method = _method(config)
        if method is not None:
            _check_dequantisable(checkpoint, method)
            config.quantization_config["dequantize"] = True
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            config=config,
            dtype=dtype,
            attn_implementation=_attention(config),
            local_files_only=True,
            # Never a pickle, whatever else lies in the folder.
            use_safetensors=True,
        )
        if method is not None:
            _stop_rounding(model)
        return model, AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise CheckpointError(
            f"{checkpoint}: expected a model and a tokenizer that transformers loads, found "
            f"{error}; complete the checkpoint"
        ) from error


def _attention(config: Any) -> str | None:
    """The attention to ask for: the plain one where scores are capped (Gemma 2), else any.

    The faster one, which transformers chooses, leaves the cap out, without a word.
    """
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return None if capped is None else "eager"


def quantisation(checkpoint: str | Path) -> str | None:
    """What a checkpoint's weights are quantised with, by its own account; None if they are not.

    Raises:
        CheckpointError: there is no such checkpoint here.
    """
    try:
        return _method(_config(checkpoint))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{checkpoint}: expected a checkpoint, found {error}; name another"
        ) from error


def _config(checkpoint: str | Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(checkpoint, local_files_only=True)


def _method(config: Any) -> str | None:
    written = getattr(config, "quantization_config", None)
    return None if written is None else str(written.get("quant_method"))


def _check_dequantisable(checkpoint: str | Path, method: str) -> None:
    if method != _COMPRESSED:
        raise CheckpointError(
            f"{checkpoint}: expected weights in floating point, or in {_COMPRESSED}, which are "
            f"dequantised, found {method}; use the checkpoint that it was quantised from, and give "
            "a profile fitted there this one's identity (docs/fitting.md, 'Quantised models')"
        )


def _stop_rounding(model: Any) -> None:
    from compressed_tensors.quantization import disable_quantization

    model.apply(disable_quantization)
