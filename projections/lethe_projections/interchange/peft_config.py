"""What PEFT's `adapter_config.json` says about a LoRA adapter on `down_proj`, and nothing else.

PEFT grows an option with every release, most of which change what an adapter computes. So an
option not known here must be off: what is not understood is refused by its name.
Semantics: huggingface/peft 0.21, `LoraConfig`, `get_pattern_key`, `check_target_module_exists`.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from lethe_projections import strict_json
from lethe_projections.errors import InterchangeError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""The files of an adapter's folder."""

MODULE = "mlp.down_proj"

_READ = {
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "layers_to_transform",
}
_WITHOUT_EFFECT = {
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "task_type",
}
"""On what a finished adapter computes, while every option not named here is off."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "layers_pattern": ("layers", ["layers"]),
    # The others (pissa, olora, corda, loftq) change the base weights when PEFT loads the adapter.
    "init_lora_weights": (True, "gaussian", "eva", "orthogonal"),
}
"""Values other than an empty one that change nothing."""

_CONFIGURES_INIT = {"eva_config"}

_Value = TypeVar("_Value", int, float)

_LITERAL = re.compile(r"\^?[A-Za-z0-9_.]+")


def module_name(layer: int) -> str:
    """As PEFT names the linear layer."""
    return f"model.layers.{layer}.{MODULE}"


def tensor_name(layer: int, side: str) -> str:
    """As PEFT names a factor of it, side "A" [r, d_ff] or "B" [d, r]."""
    return f"base_model.model.{module_name(layer)}.lora_{side}.weight"


@dataclass(frozen=True)
class AdapterConfig:
    """The part of the configuration that decides what an adapter computes.

    Attributes:
        r: rank where no pattern says otherwise.
        lora_alpha: numerator of the scaling where no pattern says otherwise.
        use_rslora: divide by sqrt(r) instead of r.
        rank_pattern, alpha_pattern: module name, or its end, to a value; the first that fits holds.
        layers: those that must have factors, or None for whichever have.
    """

    r: int
    lora_alpha: float
    use_rslora: bool = False
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[int, ...] | None = None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads `adapter_config.json`.

        Raises:
            InterchangeError: it is malformed, or an option is set that a profile cannot hold.
        """
        try:
            document = strict_json.loads(data)
        except ValueError as error:
            raise _wrong("adapter_config.json", "one JSON document", str(error)) from error
        if not isinstance(document, dict) or document.get("peft_type") != "LORA":
            raise _wrong("peft_type", "'LORA'", _found(document, "peft_type"))
        for name, value in document.items():
            _check_off(name, value)
        _check_targets(document.get("target_modules"))
        return cls(
            r=_rank("r", document.get("r")),
            lora_alpha=_alpha("lora_alpha", document.get("lora_alpha")),
            use_rslora=_flag("use_rslora", document.get("use_rslora", False)),
            rank_pattern=_pattern("rank_pattern", document.get("rank_pattern"), _rank),
            alpha_pattern=_pattern("alpha_pattern", document.get("alpha_pattern"), _alpha),
            layers=_layers(document.get("layers_to_transform")),
        )

    def rank(self, layer: int) -> int:
        """Rows of the layer's lora_A."""
        return _first_match(self.rank_pattern, layer, self.r)

    def scaling(self, layer: int) -> float:
        """What the product of the factors is multiplied by: alpha / r, or alpha / sqrt(r)."""
        rank = self.rank(layer)
        alpha = _first_match(self.alpha_pattern, layer, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def _wrong(option: str, expected: str, found: str) -> InterchangeError:
    return InterchangeError(
        f"{option}: expected {expected}, found {found:.200}; a profile holds plain LoRA factors on "
        f"{MODULE} only, so convert the adapter or fit a profile"
    )


def _found(document: Any, key: str) -> str:
    return repr(document.get(key)) if isinstance(document, dict) else type(document).__name__


def _check_off(name: str, value: Any) -> None:
    known = name in _READ | _WITHOUT_EFFECT | _CONFIGURES_INIT
    neutral = any(type(value) is type(one) and value == one for one in _NEUTRAL.get(name, ()))
    if value and not known and not neutral:
        raise _wrong(repr(name[:80]), "it off", repr(value))


def _check_targets(targets: Any) -> None:
    # As text it is a pattern over module names; the tensors say what it came to.
    if isinstance(targets, str):
        return
    if not isinstance(targets, list) or not targets:
        raise _wrong("target_modules", "a list of module names", repr(targets))
    for target in targets:
        if not isinstance(target, str) or target.rpartition(".")[2] != "down_proj":
            raise _wrong("target_modules", "down_proj alone", repr(target))


def _layers(value: Any) -> tuple[int, ...] | None:
    listed = [value] if type(value) is int else value
    if not listed:
        return None
    if not isinstance(listed, list) or not all(type(one) is int and one >= 0 for one in listed):
        raise _wrong("layers_to_transform", "layers of 0 or more", repr(value))
    return tuple(sorted(set(listed)))


def _pattern(name: str, value: Any, read: Callable[[str, Any], _Value]) -> dict[str, _Value]:
    if not value:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "a JSON object", repr(value))
    found = {}
    for key, one in value.items():
        literal = key.replace("\\.", ".")
        if not _LITERAL.fullmatch(literal):
            # PEFT takes any regular expression; one from a file could also run for ever.
            raise _wrong(name, "module names or their ends as keys", repr(key))
        found[literal] = read(f"{name}[{key!r}]", one)
    return found


def _first_match(pattern: Mapping[str, _Value], layer: int, default: _Value) -> _Value:
    name = module_name(layer)
    for key, value in pattern.items():
        at_start = key.startswith("^")
        if name == key.removeprefix("^") or (not at_start and name.endswith(f".{key}")):
            return value
    return default


def _rank(name: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise _wrong(name, "a whole number of 1 or more", repr(value))
    return value


def _alpha(name: str, value: Any) -> float:
    if type(value) not in (int, float):
        raise _wrong(name, "a number", repr(value))
    try:
        alpha = float(value)
    except OverflowError:
        alpha = math.inf
    if not math.isfinite(alpha):
        raise _wrong(name, "a finite number", f"{value!r:.40}")
    return alpha


def _flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(name, "true or false", repr(value))
    return value
