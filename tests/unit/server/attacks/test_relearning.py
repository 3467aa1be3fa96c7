"""Training with the edit attached: it teaches, the edit stays, and the model is left as it was."""

import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from lethe_projections import reference
from lethe_projections.errors import LetheError
from lethe_projections.evaluation.prompt import Prompt
from lethe_server.attacks import document, low_rank, parting, relearning
from lethe_server.attacks.document import Attack, Curve
from lethe_server.attacks.relearning import Settings
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint

from .conftest import Made

QUICK = Settings(steps=4, every=3, batch=2, max_tokens=4)
LEARNS = Settings(steps=200, every=200, batch=8, learning_rate=5e-3, max_tokens=4)
ADAPTED = 14
"""Linear layers in two blocks."""


def curve(found: Attack, name: str) -> Curve:
    [one] = [one for one in found.curves if one.name == name]
    return one


def values(found: Attack, name: str) -> list[float]:
    return [point.value for point in curve(found, name).points]


def attacked(
    answerer: InProcess, checkpoint: Checkpoint, asked: Work, settings: Settings = QUICK
) -> Attack:
    return relearning.attack(answerer, checkpoint.model, asked, settings, shown=False)


def test_the_same_attack_has_the_same_bytes(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    one, other = (attacked(answerer(0.05), checkpoint, asked) for _ in range(2))
    assert document.to_bytes(one) == document.to_bytes(other)
    assert document.parse(document.to_bytes(one)) == one
    assert [point.at for point in one.curves[0].points] == [0, 3, 4]
    assert one.curves[0].name == relearning.HELD_OUT
    assert one.settings["seed"] == 0


def test_more_points_than_a_curve_has_are_refused_before_anything_is_trained() -> None:
    assert len(Settings(steps=255, every=1).places) == document.MOST_POINTS
    with pytest.raises(LetheError, match="found 257 in 256 steps; raise it to 2 or more"):
        Settings(steps=256, every=1)


def test_an_edit_of_nothing_hides_nothing(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    found = attacked(answerer(0.0), checkpoint, asked)
    for name in (relearning.HELD_OUT, relearning.TRAINED, relearning.NEIGHBOURS):
        assert values(found, name)[0] == 1
    for form in ("question", "cloze", "ranking"):
        assert values(found, f"{relearning.HELD_OUT}: {form}")[0] == 1
    held_out = curve(found, relearning.HELD_OUT).points[0]
    assert held_out.n >= held_out.clusters >= parting.LEAST


def test_training_teaches_what_it_is_shown_in_spite_of_the_edit(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    found = attacked(answerer(3.0), checkpoint, asked, LEARNS)
    for name in (relearning.TRAINED, relearning.NEVER_TRAINED):
        before, after = values(found, name)
        assert before < 0.5
        assert after > 0.7
    controls = {one.name for one in found.curves if one.control}
    assert {relearning.NEVER_HELD_OUT, relearning.NEVER_TRAINED} <= controls


@pytest.mark.parametrize("scope", ["all", "generated"])
def test_the_loss_is_the_answers_with_the_edit(
    scope: str, answerer: Made, checkpoint: Checkpoint
) -> None:
    found, none = answerer(0.5, scope), answerer(0.0)
    rows = [
        found.row(Prompt("question", ("what is the red ?",), ("Kesh Lund",)), "Kesh Lund"),
        found.row(Prompt("cloze", ("the city of one two three is",), ("Moro",)), " Moro"),
    ]
    told = []
    for row in rows:
        with torch.no_grad(), reference.edited(checkpoint.model, found.profile, row.prompt):
            logits = checkpoint.model(input_ids=torch.tensor([row.ids])).logits[0]
        expected = logits.log_softmax(-1)[row.prompt - 1 : -1]
        told += [-expected[i, id] for i, id in enumerate(row.following)]
    with torch.no_grad():
        edited = relearning.loss(checkpoint.model, rows, found.profile)
        without = relearning.loss(checkpoint.model, rows, none.profile)
    assert len(told) == 3
    assert float(edited) == pytest.approx(float(torch.stack(told).mean()), rel=1e-4)
    assert abs(float(edited) - float(without)) > 0.05


def test_every_step_is_trained_with_the_profiles_edit(
    answerer: Made, checkpoint: Checkpoint, asked: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, Any]] = []
    plain = relearning.loss

    def loss(model: Any, rows: Any, profile: Any) -> Any:
        seen.append((len(rows), profile))
        return plain(model, rows, profile)

    monkeypatch.setattr(relearning, "loss", loss)
    found = answerer(0.05)
    attacked(found, checkpoint, asked)
    assert seen == [(2, found.profile)] * 4


def test_no_prompt_of_a_subject_held_out_is_trained_on(
    answerer: Made, checkpoint: Checkpoint, asked: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[Prompt] = []
    plain = relearning.completion

    def completion(prompt: Prompt) -> str:
        taught.append(prompt)
        return plain(prompt)

    monkeypatch.setattr(relearning, "completion", completion)
    attacked(answerer(0.05), checkpoint, asked)
    expected = set()
    for name in ("forget", "never_known"):
        items = asked.suites[0].of(name)
        subjects = parting.trained([item.subject for item in items], 0.5, "")
        chosen = [item for item in items if item.subject in subjects]
        assert len(items) - len(chosen) >= parting.LEAST
        expected |= {p for item in chosen for p in item.prompts if p.form in relearning.TAUGHT}
    assert set(taught) == expected
    assert len(taught) == len(expected)


def state(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {name: one.clone() for name, one in checkpoint.model.state_dict().items()}


@pytest.mark.parametrize("broken", [False, True])
def test_the_model_is_left_as_it_was(
    broken: bool,
    answerer: Made,
    checkpoint: Checkpoint,
    asked: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint.model.requires_grad_(True)
    before = state(checkpoint)
    if broken:
        monkeypatch.setattr(relearning, "loss", lambda *_: torch.tensor(float("nan")))
        with pytest.raises(LetheError, match="finite loss"):
            attacked(answerer(0.05), checkpoint, asked)
    else:
        attacked(answerer(0.05), checkpoint, asked)
    after = checkpoint.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(one.requires_grad for one in checkpoint.model.parameters())
    assert not hasattr(checkpoint.model, "peft_config")


def test_adapters_are_at_every_linear_layer_and_the_same_for_a_seed(checkpoint: Checkpoint) -> None:
    drawn = []
    for seed in (1, 1, 2):
        with low_rank.adapted(checkpoint.model, 3, seed) as trained:
            assert len(trained) == 2 * ADAPTED
            assert {min(one.shape) for one in trained} == {3}
            drawn.append([one.detach().clone() for one in trained])
    one, same, other = ([factor.flatten() for factor in some] for some in drawn)
    assert torch.equal(torch.cat(one), torch.cat(same))
    assert not torch.equal(torch.cat(one), torch.cat(other))


def test_subjects_are_parted_by_their_digest() -> None:
    subjects = [f"s{number}" for number in range(10)]
    part = parting.trained(subjects, 0.3, "")
    assert len(part) == 3
    assert parting.trained([*subjects[::-1], "s0"], 0.3, "") == part
    assert part < parting.trained(subjects, 0.6, "")


@pytest.mark.parametrize(("count", "share"), [(1, 0.5), (3, 0.5), (10, 0.1), (10, 0.9), (0, 0.5)])
def test_too_few_subjects_for_two_parts_are_refused(count: int, share: float) -> None:
    with pytest.raises(LetheError, match=r"2 subjects that .* to train on, and 2 to hold out"):
        parting.trained(map(str, range(count)), share, "that do not exist")


def test_without_what_does_not_exist_it_is_refused(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    [suite] = asked.suites
    bare = replace(suite, items=suite.of("forget", "neighbour"))
    with pytest.raises(LetheError, match="that do not exist"):
        attacked(answerer(0.05), checkpoint, replace(asked, suites=(bare,)))


def test_an_edit_of_what_the_base_does_not_know_is_refused(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    [suite] = asked.suites
    lost = [
        replace(item, prompts=tuple(replace(p, expected=("zzz",)) for p in item.prompts))
        for item in suite.items
    ]
    unknown = replace(asked, suites=(replace(suite, items=tuple(lost)),))
    with pytest.raises(LetheError, match="expected the base to know"):
        attacked(answerer(0.05), checkpoint, unknown, replace(QUICK, forms=("question",)))


def test_a_form_that_is_not_there_is_named(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    with pytest.raises(LetheError, match=r"expected one of cloze, .*, found riddle"):
        attacked(answerer(0.05), checkpoint, asked, replace(QUICK, forms=("riddle",)))


def test_without_peft_it_says_what_to_install(
    answerer: Made, checkpoint: Checkpoint, asked: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(LetheError, match=r"pip install 'vllm-lethe\[evaluation\]'"):
        attacked(answerer(0.05), checkpoint, asked)
