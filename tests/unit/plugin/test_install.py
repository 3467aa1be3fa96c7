"""What is wrapped in models of each form, and what is refused. Stand-ins for vLLM's models."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lethe_projections.projector import Projector, Site
from lethe_vllm import architectures, edit
from lethe_vllm.bank import FactorBank
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.install import check_cut, install, lost
from lethe_vllm.options import Options
from lethe_vllm.placement import Placement
from lethe_vllm.torch_backend import TorchBackend

WIDTH, D_FF, TOKENS = 8, 12, 5


class Method:
    """As vLLM's `quant_method`s."""

    def apply(self, layer: Any, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return x @ layer.weight.T


class Down(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, D_FF), requires_grad=False)
        self.quant_method: Any = Method()

    def forward(self, x: Tensor) -> Tensor:
        return self.quant_method.apply(self, x)


class Mlp(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, D_FF)
        self.name = name
        self.add_module(name, Down())

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.name)(self.up(x).relu())


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.experts(x)


class Attention(nn.Module):
    def __init__(self, with_weights: bool) -> None:
        super().__init__()
        self.out = nn.Linear(WIDTH, WIDTH)
        self.with_weights = with_weights

    def forward(self, x: Tensor) -> Any:
        return (self.out(x), None) if self.with_weights else self.out(x)


class Block(nn.Module):
    """Norms left out: the stream is x + attn(x) + mlp(x), whole or with the last sum deferred."""

    def __init__(self, known: architectures.Architecture, backend: bool, experts: bool) -> None:
        super().__init__()
        self.known = known
        self.add_module(known.attn, Attention(with_weights=backend))
        self.add_module(known.mlp, Experts() if experts else Mlp(known.down_proj))

    def forward(self, x: Tensor) -> Any:
        attended = self.get_submodule(self.known.attn)(x)
        stream = x + (attended[0] if isinstance(attended, tuple) else attended)
        out = self.get_submodule(self.known.mlp)(x)
        return (out, stream) if self.known.deferred else stream + out


def stand_in(name: str, experts: tuple[bool, ...] = (False, False)) -> nn.Module:
    """A model of that class with one block for each of `experts`."""
    backend = name in architectures.THROUGH_TRANSFORMERS
    tables = architectures.ARCHITECTURES | architectures.THROUGH_TRANSFORMERS
    known = tables.get(name, architectures.Architecture())
    model = type("TransformersForCausalLM" if backend else name, (nn.Module,), {})()
    at = model
    *path, last = known.blocks.split(".")
    for step in path:
        at.add_module(step, type(name, (nn.Module,), {})())
        at = at.get_submodule(step)
    at.add_module(last, nn.ModuleList(Block(known, backend, one) for one in experts))
    return model.requires_grad_(False)


def blocks(model: nn.Module, name: str) -> nn.ModuleList:
    tables = architectures.ARCHITECTURES | architectures.THROUGH_TRANSFORMERS
    found = model.get_submodule(tables[name].blocks)
    assert isinstance(found, nn.ModuleList)
    return found


def declared(sites: str, layers: int = 2) -> Any:
    return Options(sites).declared(layers)


@pytest.fixture
def bank() -> Iterator[FactorBank]:
    place = Placement(torch.float32, torch.device("cpu"))
    edit.live.bank = FactorBank(place, TorchBackend(place, 1 << 20))
    yield edit.live.bank
    edit.live.bank = None


KNOWN = [*architectures.ARCHITECTURES, *architectures.THROUGH_TRANSFORMERS]


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("hook", ["block", "attn", "mlp", "down_proj"])
def test_an_edit_changes_the_stream_by_the_formula(name: str, hook: str, bank: FactorBank) -> None:
    torch.manual_seed(0)
    model = stand_in(name)
    x = torch.randn(TOKENS, WIDTH)
    given = x[None] if name in architectures.THROUGH_TRANSFORMERS else x
    first = blocks(model, name)[0]
    plain = stream(first, given)
    read = {"block": plain, "down_proj": first.get_submodule(first.known.mlp).up(x).relu()}
    read |= {"mlp": first.get_submodule(first.known.mlp)(x)}
    read |= {"attn": first.get_submodule(first.known.attn).out(x)}
    site = Site(0, hook)
    installed = install(model, declared("block,attn,mlp,down_proj"))
    width = D_FF if hook == "down_proj" else WIDTH
    projector = Projector(site, torch.randn(2, width), torch.randn(2, WIDTH))
    bank.register("d", [projector])
    bank.hold("d")
    bank.begin(np.array([-1] + [bank.slots("d")[0]] * (TOKENS - 1)))
    expected = plain.clone()
    expected[1:] += read[hook][1:] @ projector.A.T @ projector.B
    assert len(installed.sites) == 8
    assert not installed.absent
    assert torch.allclose(stream(first, given), expected, atol=1e-4)
    assert (expected - plain).abs().max() > 0.1


def stream(block: nn.Module, x: Tensor) -> Tensor:
    """The residual stream after a block, [tokens, width]."""
    out = block(x)
    return (out[0] + out[1] if isinstance(out, tuple) else out).reshape(TOKENS, WIDTH)


def test_a_forward_that_an_object_has_of_its_own_is_wrapped() -> None:
    """As vLLM's transformers backend puts on modules whose layers it fuses."""
    model = stand_in("Olmo2Model")
    mlp = blocks(model, "Olmo2Model")[0].get_submodule("mlp")
    mlp.forward = type(mlp).forward.__get__(mlp)
    install(model, declared("mlp"))
    edit.live.reached = set()
    mlp(torch.randn(1, TOKENS, WIDTH))
    assert edit.live.reached == {Site(0, "mlp")}
    edit.live.reached = None


def test_blocks_of_other_ranks_are_passed_over() -> None:
    model = stand_in("LlamaForCausalLM")
    blocks(model, "LlamaForCausalLM")[0] = nn.Identity()
    assert {site.layer for site in install(model, declared("block,mlp")).sites} == {1}


@pytest.mark.parametrize("name", ["OPTForCausalLM", "Gemma4ForCausalLM"])
def test_an_unknown_architecture_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"expected one of .*Gemma2.*found {name};"):
        install(stand_in(name), declared("mlp"))


def test_an_unknown_model_inside_the_transformers_backend_is_refused_by_name() -> None:
    model = type("TransformersForCausalLM", (nn.Module,), {})()
    model.add_module("model", type("LlamaModel", (nn.Module,), {})())
    with pytest.raises(UnsupportedError, match="found TransformersForCausalLM around LlamaModel"):
        install(model, declared("mlp"))


def test_a_model_that_is_not_built_as_known_is_refused() -> None:
    model = stand_in("LlamaForCausalLM")
    del blocks(model, "LlamaForCausalLM")[1].get_submodule("mlp").down_proj
    with pytest.raises(UnsupportedError, match="expected a linear layer down_proj"):
        install(model, declared("mlp,down_proj"))


def test_a_hook_without_layers_means_wherever_the_model_has_it() -> None:
    installed = install(stand_in("Qwen2MoeForCausalLM", (True, False)), declared("mlp,down_proj"))
    assert sorted(map(str, installed.sites)) == [
        "layers.0.mlp", "layers.1.down_proj", "layers.1.mlp",
    ]  # fmt: skip
    assert list(installed.absent) == [Site(0, "down_proj")]
    assert "mixture of experts" in installed.absent[Site(0, "down_proj")]


@pytest.mark.parametrize("sites", ["mlp,down_proj:0", "block,down_proj:0-1", "down_proj"])
def test_down_proj_inside_experts_is_refused_where_it_is_asked_for(sites: str) -> None:
    model = stand_in("MixtralForCausalLM", (True, True))
    with pytest.raises(UnsupportedError, match=r"layers\.0\.down_proj.*mixture of experts"):
        install(model, declared(sites))


ALL = "block,attn,mlp,down_proj"


@pytest.mark.parametrize("name", KNOWN)
def test_nothing_is_lost_of_what_was_just_installed(name: str) -> None:
    model = stand_in(name)
    sites = install(model, declared(ALL)).sites
    assert len(sites) == 8
    assert lost(model, sites) == {}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("hook", ["block", "attn", "mlp", "down_proj"])
def test_a_module_put_in_the_place_of_a_wrapped_one_is_missed(name: str, hook: str) -> None:
    model, fresh = stand_in(name), stand_in(name)
    sites = install(model, declared(ALL)).sites
    known = blocks(model, name)[1].known
    at = {
        "block": f"{known.blocks}.1",
        "attn": f"{known.blocks}.1.{known.attn}",
        "mlp": f"{known.blocks}.1.{known.mlp}",
        "down_proj": f"{known.blocks}.1.{known.mlp}.{known.down_proj}",
    }
    path, _, attribute = at[hook].rpartition(".")
    setattr(model.get_submodule(path), attribute, fresh.get_submodule(at[hook]))
    inside = {"block": set(at), "mlp": {"mlp", "down_proj"}}.get(hook, {hook})
    assert set(lost(model, sites)) == {Site(1, one) for one in inside}
    assert "has no edit" in lost(model, sites)[Site(1, hook)]


def test_a_forward_of_its_own_that_is_put_over_the_edit_is_missed() -> None:
    model = stand_in("LlamaForCausalLM")
    sites = install(model, declared("mlp")).sites
    mlp = blocks(model, "LlamaForCausalLM")[0].get_submodule("mlp")
    mlp.forward = Mlp.forward.__get__(mlp)
    assert list(lost(model, sites)) == [Site(0, "mlp")]


def test_a_block_or_a_part_of_one_that_is_gone_is_missed() -> None:
    model = stand_in("LlamaForCausalLM")
    sites = install(model, declared("mlp,down_proj")).sites
    blocks(model, "LlamaForCausalLM")[0] = nn.Identity()
    del blocks(model, "LlamaForCausalLM")[1].get_submodule("mlp").down_proj
    missed = lost(model, sites)
    assert missed[Site(0, "mlp")] == missed[Site(0, "down_proj")] == "its block is gone"
    assert "down_proj" in missed.pop(Site(1, "down_proj"))
    assert Site(1, "mlp") not in missed


def test_the_module_that_lora_puts_around_a_linear_layer_hides_nothing() -> None:
    model = stand_in("LlamaForCausalLM")
    sites = install(model, declared("down_proj")).sites
    for block in blocks(model, "LlamaForCausalLM"):
        around = nn.Module()
        around.base_layer = block.get_submodule("mlp").down_proj
        block.get_submodule("mlp").down_proj = around
    assert lost(model, sites) == {}


def test_a_down_proj_that_every_rank_reads_whole_is_refused_under_tensor_parallelism() -> None:
    model = stand_in("LlamaForCausalLM")
    sites = install(model, declared("mlp,down_proj")).sites
    down: Any = [
        block.get_submodule("mlp.down_proj") for block in blocks(model, "LlamaForCausalLM")
    ]
    for linear in down:
        linear.input_size, linear.input_size_per_partition = D_FF, D_FF // 2
    check_cut(model, sites, 2)
    del down[1].input_size_per_partition
    with pytest.raises(UnsupportedError, match=r"layers\.1\.down_proj: .* found 12 on each"):
        check_cut(model, sites, 2)
