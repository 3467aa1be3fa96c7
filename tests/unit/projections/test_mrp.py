"""MRP: orthonormal rows trained through QR, earlier ones untouched, no dimension lost by chance."""

import dataclasses
from typing import Any

import pytest
import torch

from lethe_projections import artifact, likelihood, passages, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.methods import method, mrp
from lethe_projections.profile import Profile
from lethe_projections.task import Task

from .conftest import HIDDEN, logits
from .tasks import task

CONFIG = mrp.Config(steps=12, lr=0.02, ceiling=50.0, retain_weight=1.0)
"""An untrained model is surprised by everything; hence the ceiling."""


def fitted(job: Task, **changed: Any) -> Profile:
    return method("mrp").fit(job, dataclasses.replace(CONFIG, **changed))


def gram_error(profile: Profile) -> float:
    grams = [p.A.double() @ p.A.double().T for p in profile.projectors]
    return max(float((gram - torch.eye(len(gram))).abs().max()) for gram in grams)


def surprise(job: Task, profile: Profile) -> float:
    batch = passages.collate(passages.read(job, job.forget))
    with torch.no_grad(), reference.edited(job.model, profile):
        return float(likelihood.surprise(job.model, batch, batch.answer).mean())


def test_a_profile_removes_two_orthonormal_rows_after_two_blocks(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    profile = fitted(task(model, tokenizer, base, "Arda"))
    assert [str(site) for site in profile.sites] == ["layers.1.block", "layers.2.block"]
    assert [(p.rank, p.orthonormal) for p in profile.projectors] == [(2, True)] * 2
    assert gram_error(profile) < 1e-5
    assert mrp.default_layers(30) == (10, 14)
    assert mrp.default_layers(1) == (0,)


def test_one_row_a_subject_where_there_are_more_than_two(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda", "Gond", "Hyra")
    assert fitted(job, steps=0).rank == 3
    assert fitted(job, steps=0, rank=1).rank == 1


def test_hidden_dimension_zero_is_not_deleted(model: Any, tokenizer: Any, base: BaseModel) -> None:
    for steps in (0, 12):
        profile = fitted(task(model, tokenizer, base, "Arda"), steps=steps)
        for projector in profile.projectors:
            # A row of zeros turned into e_1 by QR would make this 1; two random rows of 32, 1/16.
            assert projector.A[:, 0].square().sum() < 0.5


def test_training_goes_through_qr(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base, "Arda")
    started, trained = fitted(job, steps=0), fitted(job)
    moved = [
        (a.A - b.A).norm() for a, b in zip(started.projectors, trained.projectors, strict=True)
    ]
    assert min(map(float, moved)) > 0.05
    assert trained.provenance["last_loss"] < trained.provenance["first_loss"] - 0.1
    assert surprise(job, trained) > surprise(job, started) + 0.1


def test_the_papers_loss_is_offered(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base, "Arda")
    unlike = fitted(job, loss="paper")
    assert unlike.provenance["last_loss"] < unlike.provenance["first_loss"]
    assert artifact.to_bytes(unlike) != artifact.to_bytes(fitted(job))
    started = fitted(job, steps=0)
    assert surprise(job, unlike) > surprise(job, started) + 0.1


def test_later_requests_leave_earlier_rows_bit_for_bit(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    before: Profile | None = None
    for count, subject in enumerate(("Arda", "Gond", "Hyra"), 1):
        job = task(model, tokenizer, base, subject, after=before)
        profile = fitted(job)
        assert profile.rank == 2 * count
        assert gram_error(profile) < 1e-5
        if before is not None:
            for old, new in zip(before.projectors, profile.projectors, strict=True):
                assert torch.equal(new.A[: old.rank], old.A)
                assert not torch.equal(new.A[-2:], old.A[-2:])
            assert surprise(job, profile) > surprise(job, before) + 0.1
        before = profile
    assert before is not None
    assert before.provenance["subjects"] == ["Arda", "Gond", "Hyra"]


def test_what_cannot_be_gone_on_with_is_refused(
    model: Any, tokenizer: Any, base: BaseModel, profile: Profile
) -> None:
    before = fitted(task(model, tokenizer, base, "Arda"), steps=0)
    with pytest.raises(FitError, match="made by mrp"):
        fitted(task(model, tokenizer, base, "Gond", after=profile))
    with pytest.raises(FitError, match=r"layers: expected \(1, 2\)"):
        fitted(task(model, tokenizer, base, "Gond", after=before), layers=(2, 3))
    with pytest.raises(FitError, match=f"up to {HIDDEN - 2} rows more than the 2"):
        fitted(task(model, tokenizer, base, "Gond", after=before), rank=HIDDEN - 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layers": (4,)}, "layers: expected rising"),
        ({"layers": (2, 1)}, "layers: expected rising"),
        ({"rank": HIDDEN + 1}, "rank: expected up to"),
    ],
)
def test_hyperparameters_that_do_not_fit_are_refused(
    model: Any, tokenizer: Any, base: BaseModel, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        fitted(task(model, tokenizer, base, "Arda"), **changed)


def test_a_request_needs_questions_with_answers(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    with pytest.raises(FitError, match="at least one example"):
        fitted(task(model, tokenizer, base))
    bare = (Example((("user", "where is Arda ?"),), line=2),)
    with pytest.raises(FitError, match="line 2: expected a question with its answer"):
        fitted(task(model, tokenizer, base, forget=bare))


def test_a_fit_is_deterministic_and_leaves_the_model_alone(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    plain = logits(model)
    job = task(model, tokenizer, base, "Arda")
    first, second, other = (artifact.to_bytes(fitted(job, seed=seed)) for seed in (0, 0, 1))
    assert first == second
    assert first != other
    assert torch.equal(logits(model), plain)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
