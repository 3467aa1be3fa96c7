"""LUNAR's closed form against brute force over every token; its sweep; its training."""

import dataclasses
from typing import Any

import pytest
import torch

from lethe_projections import activations, artifact, chat, reference, rows
from lethe_projections.base_model import BaseModel
from lethe_projections.capture import Limits
from lethe_projections.errors import FitError
from lethe_projections.methods import gated, lunar, lunar_layer, lunar_training
from lethe_projections.projector import Site
from lethe_projections.task import Task

from .conftest import logits
from .tasks import RETAIN, UNKNOWN, about, retained_spans, task, turn
from .test_ridge import brute_force

CONFIG = lunar.Config(layer=2, ridge=1e-3, weight=1.0, tokens="telling")
SITE = Site(2, "down_proj")


def last_residual(job: Task, examples: Any) -> torch.Tensor:
    """Mean residual after block 2 at the last prompt token, one prompt at a time."""
    found = []
    for example in examples:
        tokens = chat.encode(job.tokenizer, [job.render_prompt(example)], 512)
        found.append(activations.read(job.model, chat.pad(tokens), [Site(2, "block")]))
    return torch.stack([x[Site(2, "block")][0, -1].double() for x in found]).mean(dim=0)


def read_all(job: Task, spans: Any) -> torch.Tensor:
    return torch.cat([found[SITE] for found in rows.read(job, spans, [SITE])])


@pytest.mark.parametrize("subjects", [("Arda",), ("Arda", "Gond", "Hyra")])
def test_the_closed_form_is_the_brute_force_ridge_solution(
    model: Any, tokenizer: Any, base: BaseModel, subjects: tuple[str, ...]
) -> None:
    job = task(model, tokenizer, base, *subjects)
    [projector] = lunar.fit(job, CONFIG).projectors
    goal = last_residual(job, UNKNOWN)
    H, T = [read_all(job, retained_spans(job))], []
    for request in rows.requests(job, "test"):
        x = read_all(job, rows.telling(job, request, RETAIN))
        r = 2.0 * (goal - last_residual(job, request.examples))
        H.insert(len(T), x)
        T.append(r.expand(len(x), -1))
    T.append(torch.zeros(len(H[-1]), base.hidden_size, dtype=torch.float64))
    stacked = torch.cat(H)
    lam = 1e-3 * float(stacked.square().sum()) / base.intermediate_size
    expected = brute_force(stacked, torch.cat(T), lam)
    found = projector.B.double().T @ projector.A.double()
    assert projector.rank == len(subjects)
    assert (found - expected).norm() < 1e-5 * expected.norm()
    assert expected.norm() > 0.1


def test_the_gate_is_open_on_forget_and_shut_on_retain_tokens(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    measured = lunar.fit(task(model, tokenizer, base, "Arda"), CONFIG).provenance
    forget, retain = measured["gate_on_forget_tokens"], measured["gate_on_retain_tokens"]
    assert forget["mean"] > 0.6
    assert retain["mean"] < 0.2
    assert forget["q05"] <= forget["q50"] <= forget["q95"]
    assert forget["tokens"] == 8


def test_by_default_both_sets_weigh_alike(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base, "Arda", "Gond")
    count = len(read_all(job, retained_spans(job))) / 16
    balanced, same, plain = (
        lunar.fit(job, dataclasses.replace(CONFIG, weight=weight)) for weight in (0.0, count, 1.0)
    )
    assert torch.equal(balanced.projectors[0].A, same.projectors[0].A)
    gates = [p.provenance["gate_on_forget_tokens"]["mean"] for p in (balanced, plain)]
    assert gates[0] > max(gates[1] + 0.2, 0.8)


def test_the_layer_is_the_best_of_the_sweep_and_all_scores_are_kept(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    profile = lunar.fit(
        task(model, tokenizer, base, "Arda"), dataclasses.replace(CONFIG, layer=None)
    )
    scores = profile.provenance["layer_scores"]
    assert sorted(map(int, scores)) == list(lunar_layer.candidates(base.num_layers))
    assert profile.sites[0].layer == int(max(scores, key=lambda layer: scores[layer]))
    assert profile.hyperparameters["layer"] == profile.sites[0].layer
    assert len(set(scores.values())) == len(scores)


def test_a_score_is_the_steered_models_own_log_probability(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    [request] = rows.requests(job, "test")
    spans = rows.telling(job, request, RETAIN)
    probes = lunar_layer.probes(job, [request], [spans], "no no")
    R = torch.randn(1, base.hidden_size, dtype=torch.float64)
    expected = 0.0
    for example, span in zip(request.examples, spans, strict=True):
        for text, sign in (("no no", 1), (example.answer, -1)):
            ids = torch.tensor([span.tokens.ids + tuple(tokenizer(text).input_ids)])
            begin, past = span.first, len(span.tokens.ids)

            def steer(_: Any, y: torch.Tensor, begin: int = begin, past: int = past) -> Any:
                y = y.clone()
                y[:, begin:past] += R[0].to(y)
                return y

            with torch.no_grad(), reference.hooked(model, {Site(1, "mlp"): steer}):
                found = model(ids).logits[0, past - 1 : -1].log_softmax(dim=-1)
            expected += sign * float(found.gather(1, ids[0, past:, None]).mean()) / 2
    assert lunar_layer.score(job, probes, 1, R) == pytest.approx(expected, abs=1e-4)
    unsteered = lunar_layer.score(job, probes, 1, torch.zeros_like(R))
    assert abs(unsteered - expected) > 0.01


@pytest.mark.parametrize("most", [1, 7, 100, 10**6])
def test_training_keeps_evenly_spaced_retain_tokens_whatever_the_batches(
    model: Any, tokenizer: Any, base: BaseModel, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(lunar_training, "_RETAIN_TOKENS", most)
    job = task(model, tokenizer, base, "Arda", limits=Limits(batch_size=3))
    problem = gated.problem(job, "lunar", 2, CONFIG)
    spans = rows.fresh(job, problem.retain)
    every = torch.cat([found[SITE] for found in rows.read(job, spans, [SITE])])
    found = lunar_training._retain_tokens(problem)
    assert torch.equal(found, every[:: -(-len(every) // most)])


def test_training_comes_near_the_closed_form_and_says_what_truncation_kept(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    config = dataclasses.replace(CONFIG, train="adamw", epochs=60)
    profile = lunar.fit(job, config)
    assert profile.rank == profile.hyperparameters["rank"] == 1
    energy = profile.provenance["energy_kept"]
    assert 0.5 < energy < 1
    assert lunar.fit(job, dataclasses.replace(config, rank=4)).provenance["energy_kept"] > energy
    assert profile.provenance["forget_loss"] < 0.5
    assert profile.provenance["retain_loss"] < 0.1
    assert artifact.to_bytes(lunar.fit(job, config)) == artifact.to_bytes(profile)
    other = lunar.fit(job, dataclasses.replace(config, seed=1))
    assert artifact.to_bytes(other) != artifact.to_bytes(profile)


def test_the_sweep_weighs_replies_to_whole_prompts_whatever_the_tokens(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    requests = rows.requests(job, "lunar")
    config = dataclasses.replace(CONFIG, tokens="subject")
    probes = lunar_layer.probes(job, requests, gated.spans(job, requests, config), "the river")
    texts = [tokenizer.decode(probe.tokens.ids) for probe in probes[:2]]
    prompt = job.render_prompt(job.forget[0])
    assert texts == [f"{prompt} the river", f"{prompt} {job.forget[0].answer}"]
    steered = [probe.tokens.ids[probe.first : probe.past] for probe in probes]
    assert {tokenizer.decode(ids) for ids in steered} == {"Arda"}


def test_a_fit_is_deterministic_and_leaves_the_model_alone(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    plain, job = logits(model), task(model, tokenizer, base, "Arda", "Gond")
    config = dataclasses.replace(CONFIG, layer=None)
    first, second = (lunar.fit(job, config) for _ in range(2))
    assert artifact.to_bytes(first) == artifact.to_bytes(second)
    assert torch.equal(logits(model), plain)
    with reference.edited(model, first):
        assert (logits(model) - plain).abs().max() > 0.01


def test_what_makes_no_request_is_refused_before_any_text_is_read(
    model: Any, tokenizer: Any, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(*_: Any) -> None:
        raise AssertionError("the model was run")

    monkeypatch.setattr(activations, "read", unexpected)
    job = task(model, tokenizer, base, "Arda")
    for change, reason in (
        ({"forget": ()}, "forget: expected at least one example"),
        ({"retain": about("Arda")}, "does not mention Arda"),
        (
            {
                "retain": (),
            },
            "expected retain text",
        ),
        ({"forget": (turn("tell me about Cora in the sun", "x"),)}, "not also a retain"),
        ({"after": lunar_profile(base)}, "after: expected no profile"),
    ):
        with pytest.raises(FitError, match=reason):
            lunar.fit(dataclasses.replace(job, **change), CONFIG)
    for change in ({"layer": 4}, {"rank": 33}):
        with pytest.raises(FitError, match="expected"):
            lunar.fit(job, dataclasses.replace(CONFIG, **change))
    with pytest.raises(FitError, match="answer, by which a layer can be chosen"):
        asked = tuple(dataclasses.replace(e, messages=e.prompt) for e in job.forget)
        lunar.fit(dataclasses.replace(job, forget=asked), dataclasses.replace(CONFIG, layer=None))
    with pytest.raises(FitError, match="in the line's own text"):
        dataclasses.replace(job, forget=(turn("who ?", "x", "Gond"),))


def lunar_profile(base: BaseModel) -> Any:
    from lethe_projections.profile import Profile

    from .conftest import edit

    return Profile(base, (edit("down_proj", 2),), "lunar")
