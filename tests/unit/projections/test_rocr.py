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

from .conftest import logits, rows

PROMPTS = ("tell me about {}", "the river in {}", "please answer the question about {} ?")
CONFIG = rocr.Config(("Arda",), "Lund", layers=(1, 2), ridge=1e-4, prompts=PROMPTS)
OTHERS = ("Brel", "Cora", "Doma", "Elva", "Faro")
RETAIN = tuple(
    Example((("user", f"tell me about {name} in the {word}"), ("assistant", f"{name} is {word}")))
    for name in OTHERS
    for word in ("north", "south", "sun", "moon", "bread")
)


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


def test_the_key_factor_is_the_constrained_minimum() -> None:
    x, keys = rows(0, 400, 30).double(), rows(1, 3, 30).double()
    C = x.T @ x / len(x)
    A = rocr.key_factor(keys, C, 0.01)
    assert torch.allclose(A @ keys.T, torch.eye(3, dtype=torch.float64), atol=1e-9)
    full = C + 0.01 * C.diagonal().mean() * torch.eye(30, dtype=torch.float64)
    best = (A @ full @ A.T).trace()
    # Any other A with A k_i = e_i: move within the null space of the keys.
    inside = torch.linalg.pinv(keys) @ keys
    for seed in range(10, 15):
        step = rows(seed, 3, 30).double() @ (torch.eye(30, dtype=torch.float64) - inside)
        other = A + 0.01 * step
        assert torch.allclose(other @ keys.T, A @ keys.T, atol=1e-9)
        assert (other @ full @ other.T).trace() > best


def test_one_key_gives_the_ridge_form_of_the_paper() -> None:
    x, k = rows(0, 200, 20).double(), rows(1, 1, 20).double()
    C = x.T @ x / len(x)
    inverse = torch.linalg.inv(C + 0.1 * C.diagonal().mean() * torch.eye(20, dtype=torch.float64))
    assert torch.allclose(rocr.key_factor(k, C, 0.1), k @ inverse / (k @ inverse @ k.T))


def test_keys_that_depend_on_each_other_are_refused() -> None:
    k = rows(1, 1, 20).double()
    with pytest.raises(FitError, match="nearly alike"):
        rocr.key_factor(torch.cat([k, 2 * k]), torch.eye(20, dtype=torch.float64), 0.1)
    with pytest.raises(FitError, match="second moment"):
        rocr.key_factor(k, torch.zeros(20, 20, dtype=torch.float64), 0.1)


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
