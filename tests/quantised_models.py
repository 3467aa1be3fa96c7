"""A tiny Llama quantised in each format that is served, and the same model in transformers.

Weights are quantised and written here, as each format defines its tensors. The reference is the
model with what those tensors stand for, in float32; where a format rounds a layer's input too, so
does the reference.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from . import tiny_models

GROUP = 32
"""Inputs that share a scale."""

Rounding = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Format:
    """How a linear layer is written, and what it then computes.

    Attributes:
        config: `quantization_config` of the checkpoint.
        write: a weight [out, in] -> the layer's tensors, and the weight that they stand for.
        dtype: in which vLLM computes; its kernels for 4 bits have no float32.
        rounding: what becomes of the layer's input; None if it stays as it is.
    """

    config: dict[str, Any]
    write: Callable[[Tensor], tuple[dict[str, Tensor], Tensor]]
    dtype: str
    rounding: Rounding | None = None


class Quantised(nn.Module):
    """A linear layer of the reference."""

    def __init__(self, weight: Tensor, rounding: Rounding | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.rounding = rounding

    def forward(self, x: Tensor) -> Tensor:
        return (self.rounding(x) if self.rounding else x) @ self.weight.T


def save(form: Format, folder: Path) -> tuple[nn.Module, str]:
    """The reference, and the checkpoint with the same weights."""
    model = tiny_models.make("LlamaForCausalLM")
    model.save_pretrained(folder)
    names = [name for name, module in model.model.named_modules() if isinstance(module, nn.Linear)]
    tensors = {}
    for name in names:
        parent, _, last = name.rpartition(".")
        written, weight = form.write(model.model.get_submodule(name).weight.detach())
        tensors |= {f"model.{name}.{part}": tensor for part, tensor in written.items()}
        setattr(model.model.get_submodule(parent), last, Quantised(weight, form.rounding))
    linear = {f"model.{name}.weight" for name in names}
    tensors |= {name: one for name, one in model.state_dict().items() if name not in linear}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    written_config = json.loads((folder / "config.json").read_text())
    written_config["quantization_config"] = form.config
    (folder / "config.json").write_text(json.dumps(written_config))
    return model, str(folder)


def _int4(weight: Tensor, symmetric: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """0 to 15 [out, in], scales and zeros [out, groups], and (q - zero) scale."""
    grouped = weight.unflatten(1, (-1, GROUP))
    low, high = grouped.amin(-1, keepdim=True), grouped.amax(-1, keepdim=True)
    if symmetric:
        scale = (torch.maximum(-low, high) / 7).half().float()
        zero = torch.full_like(scale, 8)
    else:
        scale = ((high - low) / 15).half().float()
        zero = (-low / scale).round().clamp(0, 15)
    q = ((grouped / scale).round() + zero).clamp(0, 15)
    return q.flatten(1), scale[..., 0], zero[..., 0], ((q - zero) * scale).flatten(1)


def _packed(values: Tensor, dim: int, order: tuple[int, ...] = tuple(range(8))) -> Tensor:
    """Eight values of 4 bits along `dim` to an int32; the first is lowest, once put in order."""
    eights = values.long().movedim(dim, -1).unflatten(-1, (-1, 8))[..., list(order)]
    whole = (eights << (4 * torch.arange(8))).sum(-1)
    return whole.to(torch.int32).movedim(-1, dim).contiguous()


def _gptq(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    q, scale, zero, meant = _int4(weight, symmetric=True)
    return {
        "qweight": _packed(q.T, 0),
        # Zeros are written less one.
        "qzeros": _packed(zero.T - 1, 1),
        "scales": scale.T.half().contiguous(),
        "g_idx": torch.arange(weight.shape[1], dtype=torch.int32) // GROUP,
    }, meant


def _awq(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    q, scale, zero, meant = _int4(weight, symmetric=False)
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    return {
        "qweight": _packed(q.T, 1, order),
        "qzeros": _packed(zero.T, 1, order),
        "scales": scale.T.half().contiguous(),
    }, meant


def _packed_int4(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    q, scale, _, meant = _int4(weight, symmetric=True)
    return {
        "weight_packed": _packed(q, 1),
        "weight_scale": scale.half(),
        "weight_shape": torch.tensor(weight.shape),
    }, meant


def _int8(weight: Tensor, **inputs: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    scale = weight.abs().amax(1, keepdim=True) / 127
    q = (weight / scale).round()
    return {"weight": q.to(torch.int8), "weight_scale": scale, **inputs}, q * scale


def _to_int8(x: Tensor, scale: Any, zero: Any) -> Tensor:
    return (((x / scale).round() + zero).clamp(-128, 127) - zero) * scale


def _each_token_to_int8(x: Tensor) -> Tensor:
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    scale = (high - low) / 255
    return _to_int8(x, scale, (-128 - low / scale).round())


def _float8(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    scale = weight.abs().amax(1, keepdim=True) / 448
    q = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": q, "weight_scale": scale}, q.float() * scale


def _each_token_to_float8(x: Tensor) -> Tensor:
    scale = x.abs().amax(-1, keepdim=True) / 448
    return (x / scale).to(torch.float8_e4m3fn).float() * scale


_SCALE, _ZERO = 0.1, 3
"""Of every layer's input, where they are in the checkpoint."""


def _static_int8(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    zero = torch.tensor([_ZERO], dtype=torch.int8)
    return _int8(weight, input_scale=torch.tensor([_SCALE]), input_zero_point=zero)


def _compressed_tensors(form: str, weights: dict[str, Any], inputs: Any = None) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "config_groups": {"group_0": group},
    }


def _numbers(kind: str, strategy: str, **more: Any) -> dict[str, Any]:
    said = {"type": kind[:-1], "num_bits": int(kind[-1]), "strategy": strategy}
    return said | {"symmetric": True, "dynamic": False} | more


_INT8 = _numbers("int8", "channel")

FORMATS = {
    "gptq int4": Format(
        {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True},
        _gptq, "float16",
    ),
    "awq int4": Format(
        {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True,
         "version": "gemm"},
        _awq, "float16",
    ),
    "compressed-tensors int4 by group": Format(
        _compressed_tensors("pack-quantized", _numbers("int4", "group", group_size=GROUP)),
        _packed_int4, "float16",
    ),
    # Asymmetric, since vLLM has another kernel for symmetric inputs on CPUs with AMX: it has no
    # float32, and takes no static scale.
    "compressed-tensors int8 by channel with dynamic int8 activations": Format(
        _compressed_tensors(
            "int-quantized", _INT8, _numbers("int8", "token", dynamic=True, symmetric=False)
        ),
        _int8, "float32", _each_token_to_int8,
    ),
    "compressed-tensors int8 by channel with static int8 activations": Format(
        _compressed_tensors("int-quantized", _INT8, _numbers("int8", "tensor", symmetric=False)),
        _static_int8, "float32", lambda x: _to_int8(x, _SCALE, _ZERO),
    ),
    "compressed-tensors float8 by channel with dynamic float8 activations": Format(
        _compressed_tensors(
            "float-quantized", _numbers("float8", "channel"),
            _numbers("float8", "token", dynamic=True),
        ),
        _float8, "float32", _each_token_to_float8,
    ),
}  # fmt: skip
