"""On every architecture, a variant at every hook equals plain forward hooks on transformers."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.options import DEFAULT_SITES

from .. import tiny_models
from .one_process import Answers, Prompt, Question, Tops
from .variants import low_rank

TOLERANCE = 1e-3
EFFECT = 100 * TOLERANCE
STEPS = 3
HOOKS = ("block", "attn", "mlp", "down_proj")

COMPILED = ("Gemma2ForCausalLM", "GPT2LMHeadModel", "Olmo2ForCausalLM", "OlmoeForCausalLM")
"""One of each form in which blocks return the residual stream, and one with experts."""

SPARSE = {"OlmoeForCausalLM": (0, 1, 2), "MixtralForCausalLM": (0, 1, 2)} | {
    "Qwen2MoeForCausalLM": (0, 2)
}
"""Layers that are mixtures of experts."""

LLAMA = {
    "block": "model.layers.{}",
    "attn": "model.layers.{}.self_attn",
    "mlp": "model.layers.{}.mlp",
    "down_proj": "model.layers.{}.mlp.down_proj",
}
PATHS = {
    "GPT2LMHeadModel": {
        "block": "transformer.h.{}",
        "attn": "transformer.h.{}.attn",
        "mlp": "transformer.h.{}.mlp",
        "down_proj": "transformer.h.{}.mlp.c_proj",
    },
    "GPTNeoXForCausalLM": {
        "block": "gpt_neox.layers.{}",
        "attn": "gpt_neox.layers.{}.attention",
        "mlp": "gpt_neox.layers.{}.mlp",
        "down_proj": "gpt_neox.layers.{}.mlp.dense_4h_to_h",
    },
}
"""Where transformers has the modules that define the hooks; elsewhere as in Llama."""

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Case:
    """One architecture's model in transformers, and what its engine answered."""

    architecture: str
    model: nn.Module
    profiles: dict[str, Profile]
    answers: Answers


def sparse(architecture: str) -> tuple[int, ...]:
    return SPARSE.get(architecture, ())


def profiles(architecture: str, base: BaseModel) -> dict[str, Profile]:
    """By hook, a random edit of rank 2 in the first and the last block that have it."""
    found = {}
    for seed, hook in enumerate(HOOKS):
        inside = sparse(architecture) if hook == "down_proj" else ()
        layers = [layer for layer in range(tiny_models.LAYERS) if layer not in inside]
        if layers:
            ends = tuple(sorted({layers[0], layers[-1]}))
            found[hook] = low_rank(base, hook, ends, rank=2, scale=0.2, seed=seed)
    return found


def prompts() -> list[Prompt]:
    """Random tokens; the longest is longer than the sliding window of the models that have one."""
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randint(3, tiny_models.VOCAB, (length,), generator=generator).tolist()
        for length in (1, 7, 18, 40)
    ]


def cases() -> list[Any]:
    eager = [pytest.param((name, True), id=f"{name}-eager") for name in tiny_models.CONFIGS]
    return eager + [pytest.param((name, False), id=f"{name}-compiled") for name in COMPILED]


@pytest.fixture(scope="module", params=cases())
def case(
    request: pytest.FixtureRequest,
    ask: Callable[[Question], Answers],
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    architecture, eager = request.param
    model, checkpoint = tiny_models.save(architecture, tmp_path_factory.mktemp(architecture))
    served = profiles(architecture, BaseModel.from_checkpoint(checkpoint))
    asked = question(architecture, checkpoint, ",".join(HOOKS), served)
    return Case(architecture, model, served, ask(replace(asked, eager=eager)))


def question(
    architecture: str, checkpoint: str, sites: str, served: dict[str, Profile]
) -> Question:
    """Serves these profiles, and tries one in each layer of experts, which shall be refused."""
    base = BaseModel.from_checkpoint(checkpoint)
    refused = {
        f"layer{layer}": low_rank(base, "down_proj", (layer,), rank=2, scale=0.2, seed=9)
        for layer in sparse(architecture)
    }
    return Question(
        checkpoint=checkpoint,
        eager=True,
        sites=sites,
        profiles={name: artifact.to_bytes(profile) for name, profile in served.items()},
        refused={name: artifact.to_bytes(profile) for name, profile in refused.items()},
        prompts=prompts(),
        steps=STEPS,
    )


def largest_moves(case: Case, name: str | None) -> list[float]:
    """Per prompt, the largest difference to transformers over the served top 20 of every step."""
    pairs = zip(prompts(), case.answers.texts[name], strict=True)
    return [max(differences(case.model, prompt, *answer)) for prompt, answer in pairs]


def differences(model: nn.Module, prompt: Prompt, tokens: list[int], tops: Tops) -> list[float]:
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *tokens]]), use_cache=False).logits[0]
    expected = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return [
        abs(logprob - float(step[token]))
        for step, top in zip(expected, tops, strict=True)
        for token, logprob in top.items()
    ]


def hooked(case: Case, hook: str) -> ExitStack:
    """Plain forward hooks that compute the formula; removed when the stack closes."""
    paths = PATHS.get(case.architecture, LLAMA)
    stack = ExitStack()
    for projector in case.profiles[hook].projectors:
        module = case.model.get_submodule(paths[hook].format(projector.site.layer))
        stack.callback(module.register_forward_hook(formula(projector)).remove)
    return stack


def formula(projector: Projector) -> Callable[..., Any]:
    A, B, a = projector.A, projector.B, projector.a

    def hook(_: nn.Module, args: tuple[Tensor, ...], output: Any) -> Any:
        y = output[0] if isinstance(output, tuple) else output
        x = args[0] if projector.site.hook == "down_proj" else y
        new = y + (x @ A.T + a) @ B
        return (new, *output[1:]) if isinstance(output, tuple) else new

    return hook


def check_hooks(case: Case) -> None:
    """Each variant equals its hook on transformers, which moves the model."""
    for hook in case.profiles:
        with hooked(case, hook):
            error = max(largest_moves(case, hook))
        effect = min(largest_moves(case, hook))
        print(f"{case.architecture} {hook}: error {error:.1e}, effect {effect:.2f}")
        assert error < TOLERANCE, hook
        assert effect > EFFECT, f"{hook} hardly moves the model: this would prove nothing"


def test_a_variant_at_every_hook_equals_plain_hooks_on_transformers(case: Case) -> None:
    check_hooks(case)


def test_the_base_beside_variants_equals_transformers(case: Case) -> None:
    for name in (None, "base"):
        assert max(largest_moves(case, name)) < TOLERANCE


def test_all_hooks_are_served_but_down_proj_inside_experts(case: Case) -> None:
    inside = sparse(case.architecture)
    dense = len(inside) < tiny_models.LAYERS
    assert list(case.profiles) == list(HOOKS if dense else HOOKS[:-1])
    assert set(case.answers.absent) == {f"layers.{layer}.down_proj" for layer in inside}
    assert set(case.answers.refusals) == {f"layer{layer}" for layer in inside}
    for said in case.answers.refusals.values():
        assert "mixture of experts" in said


def test_the_default_sites_are_those_that_a_mixture_of_experts_has(
    ask: Callable[[Question], Answers], tmp_path: Path
) -> None:
    _, checkpoint = tiny_models.save("OlmoeForCausalLM", tmp_path)
    answers = ask(question("OlmoeForCausalLM", checkpoint, DEFAULT_SITES, {}))
    assert set(answers.absent) == {f"layers.{layer}.down_proj" for layer in (0, 1, 2)}
    assert len(answers.refusals) == 3


def test_down_proj_inside_experts_declared_by_its_layer_stops_the_start(
    ask: Callable[[Question], Answers], tmp_path: Path
) -> None:
    _, checkpoint = tiny_models.save("OlmoeForCausalLM", tmp_path)
    with pytest.raises(UnsupportedError, match=r"layers\.1\.down_proj.*mixture of experts"):
        ask(question("OlmoeForCausalLM", checkpoint, "block,mlp,down_proj:1", {}))
