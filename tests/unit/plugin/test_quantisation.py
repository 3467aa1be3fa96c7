"""Which quantised models an engine with Lethe starts with. Stand-ins for vLLM's configuration."""

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest

from lethe_vllm.compat import quantisation

from ...quantised_models import FORMATS

INT8 = FORMATS["compressed-tensors int8 by channel with dynamic int8 activations"].config
METHODS = {"gptq": "auto_gptq"}
"""What vLLM makes of a checkpoint's own word."""


def not_shown(
    written: dict[str, Any] | None,
    method: str | None = None,
    online: Any = None,
    experts: int = 0,
    device: str = "cpu",
) -> str:
    said = (written or {}).get("quant_method")
    model = SimpleNamespace(
        quantization=method or METHODS.get(said, said),
        quantization_config=online,
        hf_config=SimpleNamespace(quantization_config=written),
        get_num_experts=lambda: experts,
    )
    where = SimpleNamespace(device_type=device)
    config: Any = SimpleNamespace(model_config=model, device_config=where)
    return quantisation.not_shown(config)


def changed(group: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    written = deepcopy(INT8) | settings
    written["config_groups"]["group_0"] |= group or {}
    return written


def test_a_model_that_is_not_quantised_is_admitted_wherever_it_is() -> None:
    assert not not_shown(None, device="cuda", experts=8)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_that_is_shown_exact_is_admitted_by_its_name(name: str) -> None:
    assert not not_shown(FORMATS[name].config)
    method = str(FORMATS[name].config["quant_method"])
    assert quantisation.kinds(method, FORMATS[name].config) == {name}


def test_what_vllm_notes_in_a_checkpoints_own_account_is_no_format() -> None:
    assert not not_shown(changed(total_num_heads=2, total_num_kv_heads=1))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (FORMATS["gptq int4"].config | {"bits": 8}, "gptq int8"),
        (FORMATS["awq int4"].config | {"bits": 3}, "awq int3"),
        ({"quant_method": "fp8", "activation_scheme": "dynamic"}, "fp8"),
        ({"quant_method": "auto-round", "bits": 4}, "auto-round int4"),
        (changed({"input_activations": None}), "int8 by channel"),
        (changed({"output_activations": {"num_bits": 8}}), "and rounded outputs"),
        (changed({"weights": {"num_bits": 4, "strategy": "group"}}), "int4 by group with dynamic"),
        (changed({"weights": None}), "compressed-tensors group_0"),
        (changed(config_groups={"W8A8": ["Linear"], "group_0": {}}), "compressed-tensors W8A8"),
        (changed(config_groups={"group_0": {}}), "compressed-tensors group_0"),
        (changed(transform_config={"R1": {}}), "compressed-tensors with transform_config"),
        (changed(kv_cache_scheme={"num_bits": 8}), "compressed-tensors with kv_cache_scheme"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
    ],
)
def test_any_other_is_found_by_name(written: dict[str, Any], found: str) -> None:
    assert found in not_shown(written)


def test_one_unknown_group_of_layers_is_enough() -> None:
    groups = INT8["config_groups"]
    other = groups["group_0"] | {"input_activations": None}
    assert "int8 by channel" in not_shown(changed(config_groups={**groups, "group_1": other}))


def test_a_format_that_is_read_by_another_method_of_vllm_is_not_admitted() -> None:
    assert not_shown(FORMATS["gptq int4"].config, method="moe_wna16") == "moe_wna16 int4"


def test_what_vllm_quantises_while_it_loads_is_not_admitted() -> None:
    assert "fp8_per_channel" in not_shown(None, method="fp8_per_channel", online=object())
    assert "while the weights are loaded" in not_shown(INT8, online=object())


def test_experts_and_other_devices_are_not_admitted() -> None:
    assert "a mixture of experts" in not_shown(INT8, experts=4)
    assert "the device cuda" in not_shown(INT8, device="cuda")
