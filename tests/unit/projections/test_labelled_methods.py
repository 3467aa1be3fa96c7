"""Ablation, LEACE and steering: theorems with an independent judge and a control before."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lethe_projections import activations, artifact, chat, concepts, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.concepts import Concept
from lethe_projections.errors import FitError
from lethe_projections.methods import ablate, leace, method, steer
from lethe_projections.methods.labelled import labelled
from lethe_projections.projector import Site
from lethe_projections.word_keys import Reader

from .conftest import logits, rows
from .tasks import task, turn

SITE = Site(2, "block")
NAMES = ("ablate", "leace", "steer")


def concept(x: Tensor) -> Concept:
    return Concept(len(x), x.sum(dim=0), x.T @ x)


def classes(counts: tuple[int, ...], width: int = 12) -> list[Tensor]:
    """Gaussian classes around means of their own, with one covariance that is far from round."""
    mixing = rows(1, width, width).double()
    return [
        (rows(10 + i, n, width).double() + 1.5 * rows(20 + i, 1, width).double()) @ mixing
        for i, n in enumerate(counts)
    ]


def probe_gain(x: Tensor, labels: Tensor) -> float:
    """Share of the labels' variance that the best linear probe explains, by least squares."""
    design = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    fitted = (
        design
        @ torch.linalg.lstsq(
            design,
            labels,
            driver="gelsd",
            rcond=1e-5,  # what float32 factors leave is no signal
        ).solution
    )
    return float(1 - (labels - fitted).square().sum() / (labels - labels.mean(0)).square().sum())


@pytest.mark.parametrize("counts", [(40, 300), (30, 50, 300)])
def test_after_leace_no_linear_probe_beats_a_constant(counts: tuple[int, ...]) -> None:
    groups = classes(counts)
    *forget, retain = map(concept, groups)
    projector = leace.eraser(SITE, forget, retain)
    x = torch.cat(groups)
    labels = torch.nn.functional.one_hot(
        torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    ).double()
    erased = reference.apply(projector, x, x)
    assert probe_gain(x, labels) > 0.5
    assert abs(probe_gain(erased, labels)) < 1e-4
    means = [group.mean(dim=0) for group in erased.split(list(counts))]
    for mean in means:
        assert torch.allclose(mean, x.mean(dim=0), atol=1e-5)


def test_leace_is_the_papers_whitened_projection() -> None:
    groups = classes((40, 300))
    projector = leace.eraser(
        SITE, [concept(groups[0])], concept(groups[1]), leace.Config(ridge=1e-12)
    )
    x = torch.cat(groups)
    z = torch.cat([torch.ones(40), torch.zeros(300)]).double()
    centred, labels = x - x.mean(dim=0), (z - z.mean())[:, None]
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    W = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    back = vectors @ torch.diag(values.sqrt()) @ vectors.T
    u = W @ (centred.T @ labels)
    P = u @ u.T / (u.T @ u)
    expected = x - centred @ (back @ P @ W).T
    found = reference.apply(projector, x, x)
    assert torch.allclose(found, expected, atol=1e-4)
    assert (expected - x).norm() > 0.1 * x.norm()


def test_leace_changes_least_of_all_erasures() -> None:
    groups = classes((40, 300))
    x, D = torch.cat(groups), groups[0].mean(dim=0) - groups[1].mean(dim=0)
    projector = leace.eraser(SITE, [concept(groups[0])], concept(groups[1]))
    centred = x - x.mean(dim=0)
    orthogonal = centred @ D / D.norm()
    assert reference.change(projector, x).norm() < 0.97 * orthogonal.norm()


def test_a_discriminant_is_the_log_odds_of_two_gaussians() -> None:
    forget, retain = classes((2000, 6000), width=3)
    gate = concepts.discriminant(concept(forget), concept(retain), 1e-9, hard=False)
    S = 0.25 * torch.cov(forget.T, correction=0) + 0.75 * torch.cov(retain.T, correction=0)
    x = torch.cat([forget[:50], retain[:50]])
    densities = [
        torch.distributions.MultivariateNormal(group.mean(dim=0), S).log_prob(x)
        for group in (forget, retain)
    ]
    odds = densities[0] - densities[1] + math.log(1 / 3)
    assert torch.allclose(gate(x)[:, 0], odds.sigmoid(), atol=1e-4)
    assert gate(forget).mean() > 0.9
    assert gate(retain).mean() < 0.1


@pytest.mark.parametrize("tokens", ["subject", "telling", "last"])
def test_in_the_model_leace_equals_out_the_means_that_ablate_only_brings_nearer(
    model: Any, tokenizer: Any, base: BaseModel, tokens: str
) -> None:
    job = task(model, tokenizer, base, "Arda", "Gond")
    gaps = {}
    for name in ("leace", "ablate", "none"):
        projectors = []
        if name != "none":
            config = method(name).config(layers=(2,), tokens=tokens, scope="all")
            projectors = list(method(name).fit(job, config).projectors)
        with reference.installed(model, projectors):
            forget, retain = labelled(job, "test", tokens).read([SITE])[SITE]
        gaps[name] = float((forget[0].mean - retain.mean).norm())
    assert gaps["none"] > 0.1
    assert gaps["leace"] < 1e-3 * gaps["none"]
    assert gaps["ablate"] < 1e-3 * gaps["none"]


def test_ablation_is_orthogonal_and_of_one_rank_a_request(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda", "Gond")
    profile = ablate.fit(job, ablate.Config(layers=(1, 2), scope="prompt"))
    assert [(str(p.site), p.rank, p.orthonormal, p.scope) for p in profile.projectors] == [
        ("layers.1.block", 2, True, "prompt"),
        ("layers.2.block", 2, True, "prompt"),
    ]


@pytest.mark.parametrize("gate", ["none", "sigmoid", "hard"])
def test_steering_moves_the_last_prompt_token_towards_the_reference_prompts(
    model: Any, tokenizer: Any, base: BaseModel, gate: str
) -> None:
    job = task(model, tokenizer, base, "Arda")
    unknown = dataclasses.replace(job, forget=job.reference)
    goal = labelled(unknown, "test", "last").read([SITE])[SITE][0][0].mean
    before, kept = labelled(job, "test", "last").read([SITE])[SITE]
    start = (before[0].mean - goal).norm()
    config = steer.Config(
        coefficient=float(start) / before[0].norm, layer=2, gate=gate, ridge=1e-3, tokens="last"
    )
    profile = steer.fit(job, config)
    with reference.edited(model, profile):
        after, moved = labelled(job, "test", "last").read([SITE])[SITE]
    assert (after[0].mean - goal).norm() < 0.2 * start
    drift = (moved.mean - kept.mean).norm()
    assert (drift > 0.9 * start) if gate == "none" else (drift < 0.2 * start)


def test_names_are_read_at_subject_and_answer_apart_from_the_prompts(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda", "Gond")
    profile = leace.fit(job, leace.Config(layers=(2,)))
    assert profile.rank == 3  # Arda, Gond and Kesh, the answer to both
    [eraser] = profile.projectors
    reader = Reader(job)
    words = reader.words_of(("Arda", "Gond", "Kesh"), ())
    x = reader.at(words, [SITE])[SITE]
    erased = reference.apply(eraser, x, x)
    assert (erased - erased[0]).norm() < 1e-3 * (x - x[0]).norm()
    asked = dataclasses.replace(job, forget=(turn("who ?", "Kesh"),))
    with pytest.raises(FitError, match='"subject" in each'):
        leace.fit(asked, leace.Config())


def test_a_gate_opens_at_its_name_alone_wherever_it_stands(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    profile = steer.fit(job, steer.Config(layer=1))
    names, others = ("Arda", "Kesh"), ("Brel", "bread", "Doma")
    assert len(profile.projectors) == 4  # each name, within a sentence and at a text's beginning
    within = chat.render(tokenizer, [{"role": "user", "content": "{} is north"}])
    for text in ("{}", within):
        for word in (*names, *others):
            [tokens] = chat.encode(tokenizer, [text.replace("{}", word)], 64)
            place = tokens.ids.index(tokenizer(word).input_ids[0])
            site = profile.sites[0]
            h = activations.read(model, chat.pad([tokens]), [site])[site][0]
            moved = sum(reference.change(projector, h) for projector in profile.projectors)
            touched = (moved.norm(dim=1) > 1e-3 * h.norm(dim=1)).nonzero().flatten().tolist()
            assert touched == ([place] if word in names else []), (text, word)


def test_each_request_is_steered_by_a_gate_of_its_own(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda", "Gond")
    gated = steer.fit(job, steer.Config(layer=2, tokens="subject", scope="last_prompt_token"))
    assert [p.gate is not None for p in gated.projectors] == [True, True]
    assert gated.scopes == ("last_prompt_token",)
    assert len(steer.fit(job, steer.Config(layer=2, gate="none")).projectors) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_is_deterministic_and_leaves_the_model_alone(
    model: Any, tokenizer: Any, base: BaseModel, name: str
) -> None:
    plain, job = logits(model), task(model, tokenizer, base, "Arda")
    place = {"layer": 2, "gate": "none"} if name == "steer" else {"layers": (2,)}
    config = method(name).config(**place)
    first, second = (method(name).fit(job, config) for _ in range(2))
    assert artifact.to_bytes(first) == artifact.to_bytes(second)
    assert first.sites == (SITE,)
    assert torch.equal(logits(model), plain)
    with reference.edited(model, first):
        assert not torch.equal(logits(model), plain)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused(model: Any, tokenizer: Any, base: BaseModel, name: str) -> None:
    found, job = method(name), task(model, tokenizer, base, "Arda")
    place = {"layer": 4} if name == "steer" else {"layers": (4,)}
    with pytest.raises(FitError, match="from 0 to 3"):
        found.fit(job, found.config(**place))
    with pytest.raises(FitError, match="forget: expected at least one"):
        found.fit(dataclasses.replace(job, forget=()))
    with pytest.raises(FitError, match="scope"):
        found.config(scope="some")


def test_prompts_that_read_alike_are_refused(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base, "Arda")
    with pytest.raises(FitError, match="unlike the reference prompts"):
        steer.fit(dataclasses.replace(job, reference=job.forget), steer.Config())
    one = concept(rows(0, 5, 4).double())
    with pytest.raises(FitError, match="that differ"):
        concepts.differences([one], one)
