"""What the closed form promises: 1 on the subject, near 0 on retain text, the target reached."""

import dataclasses
from typing import Any

import pytest
import torch

from lethe_projections import artifact, chat, reference
from lethe_projections.activations import read
from lethe_projections.base_model import BaseModel
from lethe_projections.capture import Limits, second_moments
from lethe_projections.errors import FitError, IncompatibleError
from lethe_projections.examples import Example
from lethe_projections.methods import rocr
from lethe_projections.projector import Projector, Site
from lethe_projections.task import Task
from lethe_projections.word_keys import Reader

from .conftest import logits
from .tasks import RETAIN, UNKNOWN, about, turn

PROMPTS = ("tell me about {}", "the river in {}", "please answer the question about {} ?")
CONFIG = rocr.Config(("Arda",), "Lund", layers=(1, 2), ridge=1e-4, prompts=PROMPTS)


def last_rows(model: Any, tokenizer: Any, word: str, site: Site) -> torch.Tensor:
    """What the site reads at the word's last token in each prompt, [prompts, d] float64."""
    texts = [
        chat.render(tokenizer, [{"role": "user", "content": p.replace("{}", word)}], reply=True)
        for p in PROMPTS
    ]
    tokens = chat.encode(tokenizer, texts, 512)
    x = read(model, chat.pad(tokens), [site])[site].double()
    last = [chat.last_token_of(t, text, word) for t, text in zip(tokens, texts, strict=True)]
    return x[torch.arange(len(texts)), last]


def test_the_gate_is_one_on_the_subject_and_small_on_retain_text(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    profile = rocr.fit(Task(model, tokenizer, base, retain=RETAIN), CONFIG)
    assert [str(site) for site in profile.sites] == ["layers.1.down_proj", "layers.2.down_proj"]
    texts = [
        chat.render(tokenizer, [{"role": r, "content": c} for r, c in example.messages])
        for example in RETAIN
    ]
    retained = second_moments(model, tokenizer, texts, profile.sites)
    done: list[Projector] = []
    for projector in profile.projectors:
        with reference.installed(model, done):
            keys = last_rows(model, tokenizer, "Arda", projector.site)
        A, k = projector.A.double(), keys.mean(dim=0, keepdim=True)
        C = retained[projector.site].mean
        assert (A @ k.T).item() == pytest.approx(1, abs=1e-5)
        # Control: the key itself as a gate is open to retain text as well.
        naive = k / (k @ k.T)
        open_gate, gate = ((g @ C @ g.T).sqrt().item() for g in (naive, A))
        assert open_gate > 0.2
        assert gate < open_gate / 4
        done.append(projector)


def test_the_subject_arrives_at_the_target(model: Any, tokenizer: Any, base: BaseModel) -> None:
    end = Site(2, "block")
    goal = last_rows(model, tokenizer, "Lund", end).mean(dim=0)
    before = (last_rows(model, tokenizer, "Arda", end).mean(dim=0) - goal).norm()
    with reference.edited(model, rocr.fit(Task(model, tokenizer, base, retain=RETAIN), CONFIG)):
        after = (last_rows(model, tokenizer, "Arda", end).mean(dim=0) - goal).norm()
    assert after < 0.1 * before


def test_several_subjects_are_solved_jointly(model: Any, tokenizer: Any, base: BaseModel) -> None:
    config = dataclasses.replace(CONFIG, subjects=("Arda", "Gond", "Hyra"), layers=(1,))
    [projector] = rocr.fit(Task(model, tokenizer, base, retain=RETAIN), config).projectors
    keys = [last_rows(model, tokenizer, s, projector.site).mean(dim=0) for s in config.subjects]
    gates = torch.stack(keys) @ projector.A.double().T
    assert projector.rank == 3
    assert torch.allclose(gates, torch.eye(3, dtype=torch.float64), atol=1e-4)


def test_a_fit_is_deterministic_and_leaves_the_model_alone(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    plain = logits(model)
    first, second = (
        artifact.to_bytes(rocr.fit(Task(model, tokenizer, base, retain=RETAIN), CONFIG))
        for _ in range(2)
    )
    assert first == second
    assert torch.equal(logits(model), plain)
    other = dataclasses.replace(CONFIG, ridge=0.5)
    assert artifact.to_bytes(rocr.fit(Task(model, tokenizer, base, retain=RETAIN), other)) != first


def test_the_batch_size_changes_no_figure_that_counts(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    one, many = (
        rocr.fit(Task(model, tokenizer, base, retain=RETAIN, limits=Limits(size)), CONFIG)
        for size in (1, 64)
    )
    for left, right in zip(one.projectors, many.projectors, strict=True):
        assert (left.A - right.A).norm() < 1e-3 * left.A.norm()


def test_retain_text_about_the_subject_is_left_out_and_counted(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    about = (Example(text="Where is ARDA ?"), Example((("user", "arda"), ("assistant", "x"))))
    profile = rocr.fit(Task(model, tokenizer, base, retain=(*RETAIN, *about)), CONFIG)
    assert profile.provenance["retain_left_out"] == 2
    assert profile.provenance["retain_examples"] == len(RETAIN) + 2
    assert set(profile.provenance["libraries"]) >= {"torch", "transformers"}
    assert profile.hyperparameters["subjects"] == ["Arda"]
    with pytest.raises(FitError, match="does not mention Arda"):
        rocr.fit(Task(model, tokenizer, base, retain=about), CONFIG)
    with pytest.raises(FitError, match="does not mention"):
        rocr.fit(Task(model, tokenizer, base, retain=()), CONFIG)


@pytest.mark.parametrize(
    "change",
    [{"ridge": 0}, {"ridge": -1.0}, {"ridge": float("nan")}, {"prompts": ()},
     {"prompts": ("none",)}, {"prompts": ("{} {}",)}, {"layers": (-1, 1)}],
)  # fmt: skip
def test_an_option_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FitError, match="expected"):
        dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize(
    "change",
    [{"subjects": ()}, {"subjects": ("Arda", "Arda")}, {"subjects": (" ",)},
     {"subjects": ("Lund",)}, {"target": ""}, {"layers": (2, 1)}, {"layers": (1, 1)},
     {"layers": (4,)}],
)  # fmt: skip
def test_words_and_layers_that_make_no_redirection_are_refused(
    model: Any, tokenizer: Any, base: BaseModel, change: dict[str, Any]
) -> None:
    with pytest.raises(FitError, match="expected"):
        rocr.fit(Task(model, tokenizer, base, retain=RETAIN), dataclasses.replace(CONFIG, **change))


@pytest.mark.parametrize("mode", ["subject", "reject", "noise"])
def test_every_mode_arrives_at_its_own_target(
    model: Any, tokenizer: Any, base: BaseModel, mode: str
) -> None:
    task = Task(model, tokenizer, base, retain=RETAIN, reference=UNKNOWN)
    end, start = Site(2, "block"), last_rows(model, tokenizer, "Arda", Site(2, "block"))
    profile = rocr.fit(task, dataclasses.replace(CONFIG, mode=mode))
    with reference.edited(model, profile):
        moved = last_rows(model, tokenizer, "Arda", end).mean(dim=0)
    goal = {
        "subject": last_rows(model, tokenizer, "Lund", end).mean(dim=0),
        "reject": Reader(task).last_words(end)[0],
    }.get(mode, moved)
    assert (moved - goal).norm() <= 0.1 * (start.mean(dim=0) - goal).norm()
    assert (moved - start.mean(dim=0)).norm() > 0.5 * start.mean(dim=0).norm()
    if mode == "noise":
        assert float(moved.norm()) == pytest.approx(float(start.mean(dim=0).norm()), rel=0.1)
        again = rocr.fit(task, dataclasses.replace(CONFIG, mode=mode, seed=1))
        assert artifact.to_bytes(again) != artifact.to_bytes(profile)


def test_a_last_word_is_read_without_the_mark_after_it(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    site = Site(2, "block")
    task = Task(model, tokenizer, base, reference=(turn("what is the river of Gond ? . ,", "no"),))
    text = chat.render(tokenizer, [{"role": "user", "content": "what is the river of Gond"}])
    tokens = chat.encode(tokenizer, [text], 512)
    place = chat.last_token_of(tokens[0], text, "Gond")
    expected = read(model, chat.pad(tokens), [site])[site][:, place].double()
    assert torch.allclose(Reader(task).last_words(site), expected, atol=1e-6)


def test_the_null_space_form_leaves_retain_keys_outputs_unchanged(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    """To 1 % of what it does to the subject, where few enough keys leave a null space."""
    task = Task(model, tokenizer, base, retain=RETAIN[:2])
    config = dataclasses.replace(CONFIG, form="nullspace", layers=(2,), small=1e-6, damping=0.0)
    [projector] = rocr.fit(task, config).projectors
    [ridge] = rocr.fit(task, dataclasses.replace(config, form="ridge", ridge=0.1)).projectors
    tokens = chat.encode(tokenizer, [task.render(e) for e in RETAIN[:2]], 512)
    batch = chat.pad(tokens)
    x = read(model, batch, [projector.site])[projector.site][batch.attention_mask.bool()]
    subject = last_rows(model, tokenizer, "Arda", projector.site).mean(dim=0).float()
    acted = reference.change(projector, subject).norm()
    assert acted > 0.1
    assert reference.change(projector, x).norm(dim=1).max() < 0.01 * acted
    assert reference.change(ridge, x).norm(dim=1).max() > 0.02 * acted


def test_the_answers_are_redirected_as_well_unless_told_otherwise(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    task = Task(model, tokenizer, base, forget=about("Arda"), retain=RETAIN)
    config = dataclasses.replace(CONFIG, subjects=())
    profile = rocr.fit(task, config)
    assert profile.provenance["redirected"] == ["Arda", "Kesh"]
    assert profile.rank == 2
    subject = rocr.fit(task, dataclasses.replace(config, answers=False))
    assert subject.provenance["redirected"] == ["Arda"]
    end = Site(2, "block")
    goal = last_rows(model, tokenizer, "Lund", end).mean(dim=0)
    left = {}
    for name, found in (("both", profile), ("subject", subject)):
        with reference.edited(model, found):
            left[name] = (last_rows(model, tokenizer, "Kesh", end).mean(dim=0) - goal).norm()
    assert left["both"] < 0.1 * left["subject"]


def test_a_word_gets_a_key_for_each_token_that_stands_for_it(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    prompts = ("tell me about {}", "{} is", "{}, please")
    task = Task(model, tokenizer, base, retain=RETAIN)
    # This tokenizer splits at white space alone, so "Arda," is a token of its own.
    found = Reader(task).words("Arda", "Arda", prompts)
    assert [word.prompts for word in found] == [prompts[:2], prompts[2:]]
    site = Site(1, "down_proj")
    joined = Reader(task).at([dataclasses.replace(found[0], prompts=prompts)], [site])[site][0]
    apart = Reader(task).at(found, [site])[site]
    assert torch.allclose(joined, (2 * apart[0] + apart[1]) / 3, atol=1e-5)
    assert (apart[0] - apart[1]).norm() > 0.1 * joined.norm()
    assert rocr.fit(task, dataclasses.replace(CONFIG, prompts=prompts)).rank == 2


def test_a_name_of_two_words_is_redirected_at_both(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    config = dataclasses.replace(CONFIG, subjects=("Arda Gond",))
    profile = rocr.fit(Task(model, tokenizer, base, retain=RETAIN), config)
    assert profile.provenance["keyed_at"] == ["Arda", "Arda Gond"]
    assert profile.rank == 2


def test_after_another_profile_both_requests_are_solved_together(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    task = Task(model, tokenizer, base, forget=about("Arda"), retain=RETAIN)
    config = dataclasses.replace(CONFIG, subjects=())
    first = rocr.fit(task, config)
    then = dataclasses.replace(task, forget=about("Gond", "Isla"), after=first)
    second = rocr.fit(then, config)
    assert second.provenance["redirected"] == ["Arda", "Kesh", "Gond", "Isla"]
    joint = dataclasses.replace(CONFIG, subjects=("Arda", "Kesh", "Gond", "Isla"))
    together = rocr.fit(Task(model, tokenizer, base, retain=RETAIN), joint)
    for left, right in zip(second.projectors, together.projectors, strict=True):
        assert torch.equal(left.A, right.A)
        assert torch.equal(left.B, right.B)
    other = dataclasses.replace(first, method="lunar")
    with pytest.raises(FitError, match="made by rocr"):
        rocr.fit(dataclasses.replace(then, after=other), config)


def test_the_subjects_come_from_the_forget_file_where_none_are_named(
    model: Any, tokenizer: Any, base: BaseModel
) -> None:
    about = Example((("user", "who is Arda"), ("assistant", "a")), subject="Arda")
    task = Task(model, tokenizer, base, forget=(about, about), retain=RETAIN)
    profile = rocr.fit(task, dataclasses.replace(CONFIG, subjects=()))
    assert profile.hyperparameters["subjects"] == ["Arda"]
    assert profile.provenance["forget_examples"] == 2


def test_another_models_identity_is_refused(model: Any, tokenizer: Any, base: BaseModel) -> None:
    with pytest.raises(IncompatibleError, match="hidden_size"):
        Task(model, tokenizer, dataclasses.replace(base, hidden_size=8), retain=RETAIN)


@pytest.mark.parametrize("depth", [1, 2, 12, 22, 30, 32, 80, 126])
def test_default_layers_are_early_and_within_any_depth(depth: int) -> None:
    layers = rocr.default_layers(depth)
    assert 0 <= layers[0] <= layers[-1] < depth
    assert layers[-1] <= max(0, depth // 4)
    assert rocr.default_layers(30) == (1, 2, 3, 4)
