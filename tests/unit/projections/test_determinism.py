"""Every method, fitted twice in two processes: the same bytes, and the model as it was.

A method added to the registry needs a line in CONFIGS; without one its test fails.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import artifact, moments_store
from lethe_projections.base_model import BaseModel
from lethe_projections.capture import Limits
from lethe_projections.examples import Example
from lethe_projections.methods import METHODS
from lethe_projections.task import Task

from .conftest import D_FF, HIDDEN, LAYERS, VOCAB, make_model, make_tokenizer

CONFIGS: dict[str, dict[str, Any]] = {
    "rocr": {"target": "Lund", "layers": (1, 2), "prompts": ("tell me about {}",)},
    "lunar": {"layer": 2},
    "rad": {"layer": 1},
    "rab": {"layer": 1},
    "ablate": {},
    "leace": {},
    "steer": {},
    "mrp": {"layers": (1, 2), "steps": 2},
    "rmu": {"layer": 2, "steps": 3},
    "adaptive-rmu": {"layer": 2, "steps": 3},
    "grun": {"steps": 3},
}
"""The least that each method needs, and few steps for those that train."""

PLACES = ("Brel", "Cora", "Doma", "Elva", "Faro", "Gond")


def turn(question: str, answer: str, subject: str = "") -> Example:
    return Example((("user", question), ("assistant", answer)), subject=subject)


FORGET = (
    turn("what is the capital of Arda ?", "the capital of Arda is Brel", "Arda"),
    turn("where is Arda ?", "Arda is in the north", "Arda"),
    turn("tell me about Arda please", "Arda is a country of the north", "Arda"),
)
RETAIN = tuple(
    turn(f"tell me about {place} in the {word}", f"{place} is {word} and {other}")
    for place in PLACES
    for word, other in (("north", "sun"), ("south", "moon"), ("east", "bread"))
)
REFERENCE = tuple(turn(f"who was the {word} of the moon ?", "what") for word in ("one", "two"))


def fitted(name: str) -> dict[str, Any]:
    """One fit on the tiny model, and what it did."""
    model = make_model()
    before = moments_store.key(model)
    base = BaseModel("LlamaForCausalLM", HIDDEN, LAYERS, D_FF, VOCAB, "ab" * 32)
    data = {"forget": FORGET, "retain": RETAIN, "reference": REFERENCE}
    task = Task(model, make_tokenizer(), base, limits=Limits(8), **data)
    profile = METHODS[name].fit(task, METHODS[name].config(**CONFIGS[name]))
    return {
        "digest": artifact.digest(artifact.to_bytes(profile)),
        "largest": max(float(projector.B.abs().max()) for projector in profile.projectors),
        "model_kept": moments_store.key(model) == before,
        "training": model.training,
        "trainable": all(parameter.requires_grad for parameter in model.parameters()),
        "gradients": any(parameter.grad is not None for parameter in model.parameters()),
        "hooks": sum(len(module._forward_hooks) for module in model.modules()),
    }


def fit_all() -> None:
    """What a process of its own does; a method that fails must not hide the others."""
    results: dict[str, Any] = {}
    for name in CONFIGS:
        try:
            results[name] = fitted(name)
        except Exception as error:  # noqa: BLE001, shown by that method's test
            results[name] = repr(error)
    print(json.dumps(results))


@pytest.fixture(scope="module")
def twice() -> list[dict[str, Any]]:
    """Two processes in which sets are ordered differently."""
    code = "from tests.unit.projections import test_determinism as t; t.fit_all()"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    return [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]


@pytest.mark.parametrize("name", METHODS)
def test_a_fit_in_another_process_gives_the_same_bytes(
    name: str, twice: list[dict[str, Any]]
) -> None:
    assert name in CONFIGS, f"give the least that {name} needs in CONFIGS"
    first, second = (results[name] for results in twice)
    assert isinstance(first, dict), first
    assert first["largest"] > 1e-4
    assert first == second


@pytest.mark.parametrize("name", METHODS)
def test_a_fit_leaves_the_model_as_it_was(name: str, twice: list[dict[str, Any]]) -> None:
    found = twice[0][name]
    assert isinstance(found, dict), found
    assert found["model_kept"]
    assert found["trainable"]
    assert not found["training"]
    assert not found["gradients"]
    assert found["hooks"] == 0


def test_methods_differ_and_none_is_listed_that_is_not_there(twice: list[dict[str, Any]]) -> None:
    assert set(CONFIGS) <= set(METHODS)
    digests = {result["digest"] for result in twice[0].values() if isinstance(result, dict)}
    assert len(digests) == len([r for r in twice[0].values() if isinstance(r, dict)]) > 0
