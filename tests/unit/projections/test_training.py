"""Descent is deterministic, leaves the model alone, and ends at a loss that is no number."""

from typing import Any

import pytest
import torch

from lethe_projections import training
from lethe_projections.errors import FitError


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_frozen_model_takes_no_gradients_and_is_given_back_as_it_was(model: Any) -> None:
    parameters = list(model.parameters())
    parameters[0].requires_grad_(False)
    model.train()
    model.model.layers[1].eval()
    with pytest.raises(KeyError), training.frozen(model):
        assert not any(parameter.requires_grad for parameter in parameters)
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert [p.requires_grad for p in parameters] == [False] + [True] * (len(parameters) - 1)
    assert model.training
    assert not model.model.layers[1].mlp.training
    assert model.model.layers[2].mlp.training


def test_draws_go_through_all_items_before_any_comes_again() -> None:
    drawn = training.draws("abcdef", 2, 6, seeded(0))
    assert [len(one) for one in drawn] == [2] * 6
    rounds = [[one for part in half for one in part] for half in (drawn[:3], drawn[3:])]
    assert [sorted(one) for one in rounds] == [list("abcdef")] * 2
    assert rounds[0] != rounds[1]
    assert drawn == training.draws("abcdef", 2, 6, seeded(0))
    assert drawn != training.draws("abcdef", 2, 6, seeded(1))


def test_draws_from_nothing_are_empty() -> None:
    assert training.draws([], 2, 3, seeded(0)) == [[], [], []]


def test_descent_reaches_the_minimum_of_a_bowl() -> None:
    x, goal = torch.zeros(3), torch.tensor([1.0, -2.0, 0.5])
    measured = training.descend(
        training.adam([x], 0.1), range(300), lambda _: (x - goal).square().sum(), progress=False
    )
    assert torch.allclose(x, goal, atol=1e-2)
    assert measured["first_loss"] > 1
    assert measured["last_loss"] < 1e-2


def test_no_steps_change_and_measure_nothing() -> None:
    x = torch.ones(3)
    assert training.descend(training.adam([x], 0.1), [], lambda _: x.sum(), progress=False) == {}
    assert torch.equal(x, torch.ones(3))


def test_a_loss_that_is_no_number_ends_the_fit() -> None:
    x = torch.ones(1)
    with pytest.raises(FitError, match="finite loss, found nan at step 0"):
        training.descend(
            training.adam([x], 0.1), range(3), lambda _: (x - 2).log().sum(), progress=False
        )


def test_descent_works_where_gradients_are_off() -> None:
    x = torch.zeros(1)
    with torch.no_grad():
        training.descend(
            training.adam([x], 0.1), range(9), lambda _: (x - 1).square().sum(), progress=False
        )
    assert float(x.detach()) > 0.5
