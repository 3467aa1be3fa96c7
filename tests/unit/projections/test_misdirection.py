"""RMU and Adaptive RMU: the papers' loss, forget tokens moved, retain tokens held."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from lethe_projections import artifact, passages, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.contrast import Contrast
from lethe_projections.errors import FitError
from lethe_projections.methods import method
from lethe_projections.methods.random_direction import directions
from lethe_projections.profile import Profile
from lethe_projections.projector import Site
from lethe_projections.task import Task

from .conftest import HIDDEN, logits
from .tasks import task

LAYER = 2
NAMES = ("rmu", "adaptive-rmu")


def fitted(name: str, job: Task, **changed: Any) -> Profile:
    given = {"layer": LAYER, "steps": 60, "lr": 0.02, "retain_weight": 3.0, **changed}
    return method(name).fit(job, method(name).config(**given))


def states(job: Task, examples: Any, profile: Profile | None = None) -> list[Tensor]:
    """h_l of each example, [t, d], by transformers' own account of hidden states."""
    found = []
    for passage in passages.read(job, examples):
        read = {"input_ids": torch.tensor([passage.tokens.ids]), "output_hidden_states": True}
        with torch.no_grad(), reference.installed(job.model, profile.projectors if profile else ()):
            found.append(job.model(**read).hidden_states[LAYER + 1][0])
    return found


def told(job: Task) -> list[Tensor]:
    forget, retain = (passages.read(job, some) for some in (job.forget, job.retain))
    found = Contrast(forget, retain, job.subjects)
    return [torch.tensor(found.from_telling(passage)) for passage in forget]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_loss_is_the_papers_at_no_edit(
    name: str, model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    [u] = directions(1, HIDDEN, 0).float()
    h = torch.cat([x[m] for x, m in zip(states(job, job.forget), told(job), strict=True)])
    c = torch.tensor([[6.5]]) if name == "rmu" else 5 * h.norm(dim=1, keepdim=True)
    expected = (h - c * u).square().mean()
    profile = fitted(name, job, steps=1, batch=len(job.forget))
    assert profile.provenance["first_loss"] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_forget_tokens_move_along_u_and_retain_tokens_hardly(
    name: str, model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    profile = fitted(name, job)
    assert [str(site) for site in profile.sites] == [f"layers.{n}.down_proj" for n in (0, 1, 2)]
    [u] = directions(1, HIDDEN, 0).float()
    moved = [
        (new - old)[mark]
        for old, new, mark in zip(
            states(job, job.forget), states(job, job.forget, profile), told(job), strict=True
        )
    ]
    kept = [
        new - old
        for old, new in zip(states(job, job.retain), states(job, job.retain, profile), strict=True)
    ]
    along = torch.cat(moved) @ u
    assert along.mean() > 2
    assert torch.cat(kept).norm(dim=1).mean() < 0.3 * torch.cat(moved).norm(dim=1).mean()
    assert profile.provenance["last_loss"] < 0.7 * profile.provenance["first_loss"]


def test_the_adaptive_target_grows_with_beta(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base, "Arda")
    lengths = [
        torch.cat(states(job, job.forget, fitted("adaptive-rmu", job, beta=beta))).norm()
        for beta in (1.0, 8.0)
    ]
    assert lengths[1] > 1.3 * lengths[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_is_deterministic_and_leaves_the_model_alone(
    name: str, model: Any, tokenizer: Any, base: BaseModel
) -> None:
    plain, job = logits(model), task(model, tokenizer, base, "Arda")
    first, second, other = (
        artifact.to_bytes(fitted(name, job, steps=5, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other
    assert torch.equal(logits(model), plain)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_the_first_block_is_edited_alone_where_there_is_none_before(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    assert fitted("rmu", job, layer=1, steps=1).sites == tuple(
        Site(layer, "down_proj") for layer in (0, 1)
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layer": 4}, "layers: expected"),
        ({"rank": HIDDEN + 1}, f"rank: expected up to {HIDDEN}"),
        ({"coefficient": 0.0}, "coefficient: expected"),
        ({"lr": 1e30}, "finite loss"),
    ],
)
def test_hyperparameters_that_do_not_fit_are_refused(
    model: Any, tokenizer: Any, base: BaseModel, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        fitted("rmu", task(model, tokenizer, base, "Arda"), **changed)


def test_no_examples_and_no_retain_text_are_refused(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    with pytest.raises(FitError, match="at least one example"):
        fitted("rmu", task(model, tokenizer, base))
    job = task(model, tokenizer, base, "Arda")
    with pytest.raises(FitError, match="does not mention Arda"):
        fitted("rmu", dataclasses.replace(job, retain=job.forget))
