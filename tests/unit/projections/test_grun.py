"""GRUN: what is trained is what is served, at the last prompt token alone, behind a gate."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from lethe_projections import artifact, likelihood, passages, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.methods import grun, grun_prompts, method
from lethe_projections.methods.grun_gate import START_GAP, WhitenedGate
from lethe_projections.profile import Profile
from lethe_projections.projector import Site
from lethe_projections.task import Task

from .conftest import HIDDEN, logits, rows
from .tasks import OTHERS, about, task, turn

REFUSAL = "please choose something"
CONFIG = grun.Config(refusal=REFUSAL, steps=40, lr=0.02)
SITES = (Site(1, "block"), Site(3, "block"))


def fitted(job: Task, **changed: Any) -> Profile:
    return method("grun").fit(job, dataclasses.replace(CONFIG, **changed))


def random_edit(seed: int) -> grun.Edit:
    gate = WhitenedGate.start(
        rows(seed, 20, HIDDEN).double() + 1, rows(seed + 1, 50, HIDDEN).double(), 0.5
    )
    return grun.Edit(
        rows(seed + 2, 2, HIDDEN), rows(seed + 3, 1, 2)[0], rows(seed + 4, 2, HIDDEN), gate
    )


def test_the_edit_in_training_is_the_served_one(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda", "Gond")
    batch = passages.collate(passages.read(job, [*job.forget, *job.retain[:3]]))
    edits = {site: random_edit(seed) for seed, site in enumerate(SITES)}
    served = Profile(base, tuple(edit.projector(site) for site, edit in edits.items()), "grun")
    assert served.scopes == ("last_prompt_token",)
    ends = grun.Ends(batch.prompt - 1)
    with torch.no_grad():
        plain = likelihood.logits(model, batch, batch.real)
        with reference.hooked(model, {site: ends.at(edit) for site, edit in edits.items()}):
            trained = likelihood.logits(model, batch, batch.real)
        with reference.edited(model, served, batch.prompt):
            expected = likelihood.logits(model, batch, batch.real)
    assert torch.allclose(trained, expected, atol=1e-4)
    assert (plain - expected).abs().max() > 0.1
    assert len(ends.logits) == len(SITES)


def test_gates_tell_forget_from_retain_prompts(model: Any, tokenizer: Any, base: BaseModel) -> None:
    job = task(model, tokenizer, base, "Arda")
    profile = fitted(job)

    def opened(examples: Any) -> Tensor:
        """The last gate at each prompt's end, with the edits before it in place."""
        found = []
        for passage in passages.read(job, examples):
            ids = torch.tensor([passage.question.tokens.ids])
            with torch.no_grad(), reference.edited(model, profile, ids.shape[1]):
                cell = reference_input(model, profile.sites[-1], ids)
            gate = profile.projectors[-1].gate
            assert gate is not None
            found.append(gate(cell))
        return torch.cat(found)

    assert opened(job.forget).min() > 0.8
    assert opened(job.retain).max() < 0.2


def reference_input(model: Any, site: Site, ids: Tensor) -> Tensor:
    """What the block of a site writes before its edit, at the last token, [1, d]."""
    seen: list[Tensor] = []
    block = model.model.layers[site.layer]
    # Hooks run in order; one put first sees the unedited output.
    hooks = block._forward_hooks.copy()
    block._forward_hooks.clear()
    handle = block.register_forward_hook(lambda _m, _a, output: seen.append(output))
    block._forward_hooks.update(hooks)
    try:
        model(ids)
    finally:
        handle.remove()
    y = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    return y[:, -1]


def test_forget_prompts_are_refused_and_retain_answers_stay(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    job = task(model, tokenizer, base, "Arda")
    profile = fitted(job)
    told = [passages.with_answer(job, example, REFUSAL) for example in job.forget]
    batch, kept = passages.collate(told), passages.collate(passages.read(job, job.retain))

    def surprise(batch: Any) -> float:
        return float(likelihood.surprise(model, batch, batch.answer).mean())

    with torch.no_grad():
        plain, plain_kept = surprise(batch), surprise(kept)
        with reference.edited(model, profile, batch.prompt):
            edited = surprise(batch)
        with reference.edited(model, profile, kept.prompt):
            edited_kept = surprise(kept)
    assert edited < plain - 0.5
    assert abs(edited_kept - plain_kept) < 0.1


def test_a_forget_answer_is_a_prompt_too_up_to_what_it_gives_away(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    asked = turn("what is the capital of Arda ?", "the capital of Arda is Kesh .", "Arda")
    job = task(model, tokenizer, base, forget=(asked,))
    found = grun_prompts.prompts(job, REFUSAL, 3, torch.Generator().manual_seed(0))
    heads = [tokenizer.decode(one.question.tokens.ids) for one in found.forget]
    assert heads == ["user what is the capital of Arda ? . assistant", "the capital of Arda is"]
    rest = [tokenizer.decode(one.tokens.ids[one.prompt :]) for one in found.forget]
    assert all(one.startswith(REFUSAL) for one in rest)
    texts = [one for one in found.retain if not one.text.startswith("user")]
    assert len(texts) == len(job.retain)
    assert {one.prompt for one in texts} == {1, 2, 3}


def test_forget_prompts_are_kept_about_other_names(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    asked = turn("what is the capital of Arda ?", "the capital of Arda is Kesh .", "Arda")
    job = task(model, tokenizer, base, forget=(asked,))
    found = grun_prompts.prompts(job, REFUSAL, 3, torch.Generator().manual_seed(0))
    heads = [tokenizer.decode(one.tokens.ids) for one in found.renamed]
    assert len(heads) == 6
    assert not any("Arda" in head for head in heads)
    assert all(head.startswith("user what is the capital of ") for head in heads[:3])
    assert all(head.startswith("the capital of ") for head in heads[3:])
    assert {name for head in heads for name in OTHERS if name in head} != set()
    assert all(one.prompt == len(one.tokens.ids) for one in found.renamed)


def test_the_gates_start_lies_across_the_difference_of_means() -> None:
    forget, retain = rows(0, 30, 8).double() + 2, 3 * rows(1, 60, 8).double()
    gate = WhitenedGate.start(forget, retain, 0.1)
    opened, shut = (gate.logit(h.float()).mean() for h in (forget, retain))
    assert float(opened) == pytest.approx(START_GAP / 2, rel=1e-3)
    assert float(shut) == pytest.approx(-START_GAP / 2, rel=1e-3)
    h = torch.cat([forget, retain])
    covariance = torch.cov(h.T, correction=0)
    full = covariance + 0.1 * covariance.diagonal().median() * torch.eye(8)
    w = torch.linalg.solve(full, forget.mean(dim=0) - retain.mean(dim=0))
    assert torch.nn.functional.cosine_similarity(gate.on_h[0].double(), w, dim=0) > 0.9999


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"layers": (4,)}, "layers: expected"), ({"rank": HIDDEN + 1}, "rank: expected up to"),
     ({"refusal": " "}, "refusal: expected"), ({"lr": 1e30}, "finite loss")],
)  # fmt: skip
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
    for bare in (Example(text="Arda is", line=5), Example((("user", "Arda ?"),), line=5)):
        with pytest.raises(FitError, match="line 5: expected a question with its answer"):
            fitted(task(model, tokenizer, base, forget=(*about("Gond"), bare)))


def test_a_fit_is_deterministic_and_leaves_the_model_alone(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    plain, job = logits(model), task(model, tokenizer, base, "Arda")
    first, second, other = (
        artifact.to_bytes(fitted(job, steps=4, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other
    assert torch.equal(logits(model), plain)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert grun.default_layers(30) == (19, 23, 29)
    assert grun.default_layers(1) == (0,)
