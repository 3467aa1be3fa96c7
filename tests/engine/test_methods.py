"""What each method fits is served as transformers computes it, its gates and scopes included."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from lethe_projections import examples
from lethe_projections.base_model import BaseModel
from lethe_projections.examples import Example
from lethe_projections.methods import METHODS
from lethe_projections.profile import Profile
from lethe_projections.task import Task

from .conftest import Start, sampling
from .oracle import EFFECT, STEPS, TOLERANCE, expected, expected_of, largest_moves
from .prompts import PROMPTS

RETAIN = 48
"""Lines of retain text: few, since what is fitted need not be good here, only served exactly."""

QUICK = {"layer": 8, "epochs": 1, "steps": 4}
"""Hyper-parameters by which a fit is short, where a method has them."""

SETTINGS: dict[str, dict[str, Any]] = {
    name: {"layer": 5, "steps": 30} for name in ("rmu", "adaptive-rmu")
}
"""What a method needs to have an effect worth the name; these two read no further than a layer."""


def about(subject: str, question: str, answer: str) -> Example:
    return Example((("user", question), ("assistant", answer)), subject=subject)


FORGET = (
    about("France", "What is the capital of France?", "The capital of France is Paris."),
    about("France", "Which country has Paris as its capital?", "Paris is the capital of France."),
)


def prompts(tokenizer: Any) -> list[str]:
    """Some about other things, and the forget questions as they are asked, which open the gates."""
    asked = [[{"role": "user", "content": example.prompt[0][1]}] for example in FORGET]
    rendered = [
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        for chat in asked
    ]
    return [*PROMPTS[:6], *rendered]


def fitted(name: str, task: Task) -> Profile:
    method = METHODS[name]
    known = {one.name for one in fields(method.config)}
    quick = {key: value for key, value in QUICK.items() if key in known}
    return method.fit(task, method.config(**(quick | SETTINGS.get(name, {}))))


@pytest.fixture(scope="module")
def profiles(base: BaseModel, transformers_model: Any, tokenizer: Any) -> dict[str, Profile]:
    retain = examples.packaged("retain")[:RETAIN]
    task = Task(transformers_model, tokenizer, base, forget=FORGET, retain=retain)
    return {name: fitted(name, task) for name in METHODS}


@pytest.fixture(scope="module")
def engine(start: Start, profiles: dict[str, Profile]) -> Iterator[Any]:
    with start(profiles) as llm:
        yield llm


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_fits_is_served_exactly(
    name: str, engine: Any, profiles: dict[str, Profile], transformers_model: Any, tokenizer: Any
) -> None:
    parameters = sampling(name, max_tokens=STEPS, logprobs=20, ignore_eos=True)
    outputs = engine.generate(prompts(tokenizer), parameters, use_tqdm=False)
    edited = expected_of(transformers_model, profiles[name], outputs)
    assert max(largest_moves(outputs, edited)) < TOLERANCE
    # Not on every prompt: a fit that is any good leaves those about other things alone.
    assert max(largest_moves(outputs, expected(transformers_model, outputs))) > EFFECT
