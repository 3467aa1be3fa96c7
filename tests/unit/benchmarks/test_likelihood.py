"""Distributions: against sums written out, and passes that share a prefix against plain ones."""

import math
from typing import Any

import pytest
import torch

from benchmarks.methods import likelihood
from benchmarks.methods.forms import Item
from benchmarks.methods.likelihood import Passage
from benchmarks.methods.states import Row, final_states, log_probabilities
from lethe_projections import reference
from lethe_projections.base_model import BaseModel
from lethe_projections.examples import Example
from lethe_projections.profile import Profile
from lethe_projections.task import Task

from .conftest import projector

ROWS = [
    Row((3, 6, 7, 4, 20, 21, 5, 9, 12), 7),
    Row((3, 6, 7, 4, 22, 5, 9), 6),
    Row((3, 6, 7, 4, 20, 23, 24, 5, 30, 31, 32), 8),
    Row((33, 12), 1),
    Row((40, 41, 42, 43), 2),
]


def test_an_option_scores_its_mean_log_probability_a_token() -> None:
    table = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    found = likelihood.mean_log_likelihood(table, (0, 1))
    assert found == pytest.approx((math.log(0.5) + math.log(0.75)) / 2)


@pytest.mark.parametrize("scope", ["all", "prompt", "generated", "last_prompt_token"])
def test_passes_that_share_a_prefix_equal_each_row_alone(
    model: Any, base: BaseModel, scope: str
) -> None:
    profile = Profile(base, (projector(0.05, scope),), "test")
    found = final_states(model, ROWS, profile)
    unedited = final_states(model, ROWS, None)
    moved = 0.0
    for row, states, before in zip(ROWS, found, unedited, strict=True):
        with torch.no_grad(), reference.edited(model, profile, row.prompt):
            logits = model(input_ids=torch.tensor([row.ids])).logits[0]
        expected = logits[row.prompt - 1 : -1].log_softmax(-1)
        assert torch.allclose(log_probabilities(model, states), expected, atol=1e-5)
        moved = max(moved, float((states - before).abs().max()))
    assert moved > 1e-2


def test_a_profile_that_adds_nothing_scores_as_the_base(
    model: Any, tokenizer: Any, base: BaseModel, idle: Profile, strong: Profile
) -> None:
    task = Task(model, tokenizer, base)
    texts = (
        Example((("user", "what is the capital of Arda"), ("assistant", "Brel is the capital"))),
        Example(text="the river of Cora is north of Doma"),
    )
    rows = [likelihood.text_row(task, text) for text in texts]
    states = final_states(model, rows, None)
    passages = [Passage(*one) for one in zip(texts, rows, states, strict=True)]
    same = likelihood.divergences(model, passages, idle)
    changed = likelihood.divergences(model, passages, strong)
    # The reply's four words and the token that ends it; the second half of eight words.
    assert [row["tokens"] for row in same] == [5, 4]
    assert [row["kl"] for row in same] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert min(row["kl"] for row in changed) > 1e-3


def test_options_are_scored_after_the_rendered_question(model: Any, tokenizer: Any) -> None:
    item = Item("f", "ranking", 0, "what is red", "salt", options=("river", "one two"))
    (found,) = likelihood.rankings(model, tokenizer, [item], None)
    for option, score in zip(("salt", "river", "one two"), found["scores"], strict=True):
        prompt = tokenizer("system be brief user what is red assistant")["input_ids"]
        ids = prompt + tokenizer(option)["input_ids"]
        with torch.no_grad():
            table = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        alone = [float(table[i - 1, ids[i]]) for i in range(len(prompt), len(ids))]
        assert score == pytest.approx(sum(alone) / len(alone), abs=1e-5)
