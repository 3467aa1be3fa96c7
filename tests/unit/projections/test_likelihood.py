"""The head runs on the asked tokens alone, and says what it says on all."""

from typing import Any

import pytest
import torch
from torch import nn

from lethe_projections import likelihood, passages, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.passages import Passages
from lethe_projections.projector import Site

from .tasks import RETAIN, task, turn


@pytest.fixture
def batch(model: Any, tokenizer: Any, base: BaseModel) -> Passages:
    job = task(model, tokenizer, base)
    return passages.collate(passages.read(job, [RETAIN[0], turn("moon ?", "sun is red")]))


def full(model: Any, batch: Passages) -> torch.Tensor:
    return model(batch.tokens.input_ids, attention_mask=batch.tokens.attention_mask).logits


def test_asked_rows_have_the_logits_of_a_whole_pass(model: Any, batch: Passages) -> None:
    found = likelihood.logits(model, batch, batch.replying)
    assert torch.allclose(found, full(model, batch)[batch.replying], atol=1e-5)
    assert found.std() > 0.1
    assert not model.lm_head._forward_pre_hooks


def test_surprise_is_the_cross_entropy_of_the_marked_tokens(model: Any, batch: Passages) -> None:
    probabilities = full(model, batch).double().softmax(-1)
    expected = [
        -probabilities[row, place - 1, batch.tokens.input_ids[row, place]].log()
        for row, place in batch.answer.nonzero().tolist()
    ]
    found = likelihood.surprise(model, batch, batch.answer)
    assert torch.allclose(found.double(), torch.stack(expected), atol=1e-4)
    assert found.max() - found.min() > 0.1


def test_divergence_is_kl_per_row() -> None:
    left, right = (torch.randn(5, 9, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    p, q = left.double().softmax(-1), right.double().softmax(-1)
    expected = (p * (p / q).log()).sum(-1).mean()
    assert float(likelihood.divergence(left, right)) == pytest.approx(float(expected), abs=1e-5)
    assert float(likelihood.divergence(left, left)) == pytest.approx(0, abs=1e-6)
    assert expected > 0.1


def test_gradients_reach_an_edit(model: Any, batch: Passages) -> None:
    shift = torch.zeros(32, requires_grad=True)
    edits = {Site(1, "block"): lambda x, y: y + shift}
    with reference.hooked(model, edits):
        likelihood.surprise(model, batch, batch.answer).mean().backward()
    assert isinstance(shift.grad, torch.Tensor)
    step = 1e-2 * nn.functional.normalize(shift.grad, dim=0)
    with torch.no_grad():
        plain = likelihood.surprise(model, batch, batch.answer).mean()
        with reference.hooked(model, {Site(1, "block"): lambda x, y: y + step}):
            moved = likelihood.surprise(model, batch, batch.answer).mean()
    assert float(moved - plain) == pytest.approx(1e-2 * float(shift.grad.norm()), rel=0.1)
    assert moved > plain
