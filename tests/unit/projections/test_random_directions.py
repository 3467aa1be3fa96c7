"""RAd and RAb: what is added, where, and that it is the ridge optimum of each one's targets."""

import dataclasses
from typing import Any

import pytest
import torch

from lethe_projections import artifact, reference, rows
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import FitError
from lethe_projections.methods import method, rab, rad
from lethe_projections.methods.random_direction import default_layer, directions
from lethe_projections.projector import Site

from .conftest import logits
from .tasks import RETAIN, retained_spans, task
from .test_ridge import brute_force

SUBJECTS = ("Arda", "Gond")
SITES = [Site(2, "down_proj"), Site(2, "block")]


def tokens(job: Any, spans: Any) -> list[torch.Tensor]:
    batches = list(rows.read(job, spans, SITES))
    return [torch.cat([batch[site] for batch in batches]) for site in SITES]


@pytest.mark.parametrize("name", ["rad", "rab"])
def test_the_edit_is_the_ridge_optimum_of_its_targets(
    model: Any, tokenizer: Any, base: BaseModel, name: str
) -> None:
    job = task(model, tokenizer, base, *SUBJECTS)
    found = method(name)
    config = found.config(layer=2, coefficient=3.0, ridge=1e-3, weight=1.0, tokens="telling")
    [projector] = found.fit(job, config).projectors
    u = directions(2, base.hidden_size, 0)
    x, _ = tokens(job, retained_spans(job))
    H, T = [x], [torch.zeros(len(x), base.hidden_size, dtype=torch.float64)]
    for index, request in enumerate(rows.requests(job, "test")):
        x, h = tokens(job, rows.telling(job, request, RETAIN))
        if name == "rad":
            T.append(3.0 * h.norm(dim=1).mean() * u[index].expand(len(x), -1))
        else:
            T.append(-3.0 * (h @ u[index])[:, None] * u[index])
        H.append(x)
    stacked = torch.cat(H)
    lam = 1e-3 * float(stacked.square().sum()) / base.intermediate_size
    expected = brute_force(stacked, torch.cat(T), lam)
    error = projector.B.double().T @ projector.A.double() - expected
    assert projector.rank == 2
    assert error.norm() < 1e-5 * expected.norm()
    assert expected.norm() > 0.1


def test_rad_pushes_the_residual_along_u_by_a_multiple_of_its_norm(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    profile = rad.fit(
        job, rad.Config(layer=2, coefficient=3.0, ridge=1e-4, weight=100.0, tokens="telling")
    )
    [request] = rows.requests(job, "test")
    spans = rows.telling(job, request, RETAIN)
    _, before = tokens(job, spans)
    with reference.edited(model, profile):
        _, after = tokens(job, spans)
        _, kept = tokens(job, rows.fresh(job, RETAIN))
    _, plain = tokens(job, rows.fresh(job, RETAIN))
    u, c = directions(1, base.hidden_size, 0)[0], 3.0 * before.norm(dim=1).mean()
    assert torch.allclose((after - before) @ u, c.expand(len(before)), rtol=0.15)
    assert ((kept - plain) @ u).abs().mean() < 0.2 * c


def test_rab_says_how_much_of_its_token_wise_target_no_linear_gate_reaches(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    near, far = (
        rab.fit(job, rab.Config(layer=2, ridge=ridge)).provenance["gate_unexplained"]
        for ridge in (1e-6, 10.0)
    )
    assert 0 <= near < far <= 1


@pytest.mark.parametrize("name", ["rad", "rab"])
def test_a_fit_is_deterministic_in_its_seed_and_leaves_the_model_alone(
    model: Any, tokenizer: Any, base: BaseModel, name: str
) -> None:
    found, plain = method(name), logits(model)
    job = task(model, tokenizer, base, *SUBJECTS)
    first, second, other = (found.fit(job, found.config(seed=seed)) for seed in (0, 0, 1))
    assert artifact.to_bytes(first) == artifact.to_bytes(second) != artifact.to_bytes(other)
    assert first.hyperparameters["layer"] == 1
    assert torch.equal(logits(model), plain)
    with reference.edited(model, first):
        assert (logits(model) - plain).abs().max() > 0.01


@pytest.mark.parametrize("name", ["rad", "rab"])
def test_bad_input_is_refused(model: Any, tokenizer: Any, base: BaseModel, name: str) -> None:
    found, job = method(name), task(model, tokenizer, base, "Arda")
    with pytest.raises(FitError, match="from 0 to 3"):
        found.fit(job, found.config(layer=4))
    with pytest.raises(FitError, match="forget"):
        found.fit(dataclasses.replace(job, forget=()), found.config())
    with pytest.raises(FitError, match="coefficient"):
        found.config(coefficient=0)


def test_directions_are_unit_vectors_of_their_seed_and_rmus_block_is_the_default() -> None:
    u = directions(3, 50, 7)
    assert torch.allclose(u.norm(dim=1), torch.ones(3, dtype=torch.float64))
    assert torch.equal(u, directions(3, 50, 7))
    assert not torch.allclose(u, directions(3, 50, 8))
    assert [default_layer(layer, 32) for layer in (None, 5, 0)] == [7, 5, 0]
    assert default_layer(None, 1) == 0
