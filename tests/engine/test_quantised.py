"""On a quantised base, a variant at every hook equals plain hooks on what its weights stand for."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_vllm.compat.quantisation import SHOWN
from lethe_vllm.errors import UnsupportedError

from .. import quantised_models, tiny_models
from ..quantised_models import FORMATS
from .conftest import on_path
from .one_process import Answers, Prompt, Question
from .test_architectures import HOOKS, STEPS, Case, differences, hooked
from .variants import low_rank

EXACT = {"float32": 1e-3, "float16": 2e-2}
"""Of most prompts. In float16 an unquantised model is as far from its reference."""

ROUNDED = 0.25
"""Of every prompt: a layer's input may lie between two numbers that it can be rounded to."""

EFFECT = 0.5

COMPILED = ("gptq int4", "compressed-tensors float8 by channel with dynamic float8 activations")
"""Weights alone, and inputs that are rounded in the graph."""

pytestmark = pytest.mark.timeout(900)


def cases() -> list[Any]:
    eager = [on_path(name, f"quantised: {name}") for name in FORMATS]
    return eager + [on_path(f"{name}, compiled", f"quantised: {name}") for name in COMPILED]


@pytest.fixture(scope="module", params=cases())
def case(
    request: pytest.FixtureRequest,
    ask: Callable[[Question], Answers],
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    name = request.param.removesuffix(", compiled")
    model, checkpoint = quantised_models.save(FORMATS[name], tmp_path_factory.mktemp("model"))
    served = profiles(BaseModel.from_checkpoint(checkpoint))
    asked = question(checkpoint, name == request.param, served, FORMATS[name].dtype)
    return Case(name, model, served, ask(asked))


def question(
    checkpoint: str, eager: bool, served: dict[str, Profile], dtype: str = "float32"
) -> Question:
    return Question(
        checkpoint=checkpoint,
        eager=eager,
        sites=",".join(HOOKS),
        profiles={name: artifact.to_bytes(profile) for name, profile in served.items()},
        refused={},
        prompts=prompts(),
        steps=STEPS,
        dtype=dtype,
    )


def profiles(base: BaseModel) -> dict[str, Profile]:
    """By hook, a random edit of rank 2 in the first and the last block."""
    ends = (0, tiny_models.LAYERS - 1)
    return {
        hook: low_rank(base, hook, ends, rank=2, scale=0.3, seed=seed)
        for seed, hook in enumerate(HOOKS)
    }


def prompts() -> list[Prompt]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randint(3, tiny_models.VOCAB, (length,), generator=generator).tolist()
        for length in (1, 2, 5, 7, 11, 18, 23, 40)
    ]


def largest_moves(case: Case, name: str | None) -> list[float]:
    """Per prompt, the largest difference to the reference over the served top 20 of every step."""
    pairs = zip(prompts(), case.answers.texts[name], strict=True)
    return [max(differences(case.model, prompt, *answer)) for prompt, answer in pairs]


def check(case: Case, found: list[float]) -> None:
    assert statistics.median_low(found) < EXACT[FORMATS[case.architecture].dtype]
    assert max(found) < ROUNDED


def test_a_variant_at_every_hook_equals_plain_hooks_on_the_dequantised_model(case: Case) -> None:
    for hook in HOOKS:
        with hooked(case, hook):
            found = largest_moves(case, hook)
        effect = min(largest_moves(case, hook))
        shown = " ".join(f"{one:.1e}" for one in sorted(found))
        print(f"{case.architecture} {hook}: error {shown}, effect {effect:.2f}")
        check(case, found)
        assert effect > EFFECT, f"{hook} hardly moves the model: this would prove nothing"


def test_the_base_beside_variants_equals_the_dequantised_model(case: Case) -> None:
    for name in (None, "base"):
        found = largest_moves(case, name)
        print(f"{case.architecture} base: error " + " ".join(f"{one:.1e}" for one in sorted(found)))
        check(case, found)


def test_every_format_that_is_admitted_is_shown_exact() -> None:
    assert set(SHOWN) == set(FORMATS)


def test_a_format_that_is_not_shown_exact_stops_the_start(
    ask: Callable[[Question], Answers], tmp_path: Path
) -> None:
    _, checkpoint = quantised_models.save(FORMATS[SHOWN[-1]], tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["quantization_config"]["config_groups"]["group_0"]["input_activations"] = None
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UnsupportedError, match="found compressed-tensors float8 by channel") as no:
        ask(question(checkpoint, True, {}))
    for known in SHOWN:
        assert known in str(no.value)
