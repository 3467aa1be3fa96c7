"""Which quantised models are served: of the formats that tests show variants exact on.

A format is told by what its checkpoint says of itself, and by how vLLM reads that. What is not
known here is not admitted.
"""

from collections.abc import Mapping
from typing import Any

from vllm.config import VllmConfig

SHOWN = (
    "gptq int4",
    "awq int4",
    "compressed-tensors int4 by group",
    "compressed-tensors int8 by channel with dynamic int8 activations",
    "compressed-tensors int8 by channel with static int8 activations",
    "compressed-tensors float8 by channel with dynamic float8 activations",
)
"""Weights and what shares a scale, and what a linear layer rounds its input to."""

_NAMES = {"auto_gptq": "gptq", "auto_awq": "awq"}
"""What vLLM calls the same format elsewhere."""

_PLAIN = frozenset({
    "quant_method", "format", "version", "quantization_status", "global_compression_ratio",
    "config_groups", "ignore", "total_num_heads", "total_num_kv_heads",
})  # fmt: skip
"""Of what a compressed-tensors checkpoint says: what is read here or changes nothing; the last two
are notes that vLLM makes there."""


def not_shown(config: VllmConfig) -> str:
    """What of a quantised model no test shows variants exact on; empty if there is nothing."""
    model, device = config.model_config, config.device_config.device_type
    method = model.quantization
    if method is None:
        return ""
    written = getattr(model.hf_config, "quantization_config", None) or {}
    found = kinds(_NAMES.get(method, method), written)
    if getattr(model, "quantization_config", None) is not None:
        found |= {"quantisation while the weights are loaded"}
    if model.get_num_experts() > 0:
        found |= {"a mixture of experts"}
    if device != "cpu":
        found |= {f"the device {device}"}
    return " and ".join(sorted(found - set(SHOWN)))


def kinds(method: str, written: Mapping[str, Any]) -> set[str]:
    """What the layers of a checkpoint are, in the words of `SHOWN`.

    Args:
        method: as vLLM resolved it.
        written: `quantization_config` of the checkpoint; empty if vLLM quantises it.
    """
    if method == "compressed-tensors" and written:
        unknown = sorted(key for key, value in written.items() if value and key not in _PLAIN)
        groups = {_group(*named) for named in written.get("config_groups", {}).items()}
        return groups | {f"{method} with {key}" for key in unknown} or {method}
    bits = written.get("bits", written.get("w_bit"))
    return {method if bits is None else f"{method} int{bits}"}


def _group(preset: str, group: Any) -> str:
    if not isinstance(group, Mapping) or not group.get("weights"):
        return f"compressed-tensors {preset}"
    weights = group["weights"]
    name = f"compressed-tensors {_numbers(weights)} by {weights.get('strategy')}"
    inputs = group.get("input_activations")
    if inputs:
        when = "dynamic" if inputs.get("dynamic") else "static"
        name += f" with {when} {_numbers(inputs)} activations"
    return f"{name} and rounded outputs" if group.get("output_activations") else name


def _numbers(said: Mapping[str, Any]) -> str:
    # What is left out is compressed-tensors' own default.
    return f"{said.get('type', 'int')}{said.get('num_bits', 8)}"
