"""The same edit on a base of fewer bits: what is known is what that base knows."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lethe_projections import weight_rounding
from lethe_projections.errors import LetheError
from lethe_server.attacks import document, quantisation
from lethe_server.attacks.document import Attack
from lethe_server.attacks.quantisation import Settings
from lethe_server.evaluating import command
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint

from .conftest import Made
from .test_relearning import curve, values

QUICK = Settings(bits=(8, 3), group=16, max_tokens=4)
WORST, STILL = "worst form of forget", "base without the edit, still known"


def attacked(
    answerer: InProcess, checkpoint: Checkpoint, asked: Work, settings: Settings = QUICK
) -> Attack:
    return quantisation.attack(answerer, checkpoint.model, asked, settings, shown=False)


def test_the_base_as_it_is_has_the_evaluations_figures(
    answerer: Made, checkpoint: Checkpoint, asked: Work, said: Path, tmp_path: Path
) -> None:
    found = attacked(answerer(0.3), checkpoint, asked)
    evaluated = command.evidence(
        answerer(0.3), command.Asked((str(said),), texts=0), tmp_path / "out", 4
    ).suites[0]
    assert [point.at for point in found.curves[0].points] == [3, 8, 16]
    assert found.curves[0].name == WORST
    assert values(found, WORST)[-1] == evaluated.headline.recovered
    assert values(found, "neighbours")[-1] == evaluated.headline.neighbours
    for one in evaluated.forget:
        last = curve(found, f"forget: {one.name}").points[-1]
        expected = (one.value, one.interval, one.n, one.clusters)
        assert (last.value, last.interval, last.n, last.clusters) == expected
    assert 0 < values(found, WORST)[-1] < 1


def test_known_is_what_the_base_of_that_many_bits_recovers(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    found = attacked(answerer(0.0), checkpoint, asked)
    assert values(found, WORST) == [1, 1, 1]
    still = values(found, STILL)
    assert still[-1] == 1 > still[0]
    assert curve(found, STILL).control
    questions = [one for one in asked.every() if one.item.set == "forget"]
    with weight_rounding.fewer_bits(checkpoint.model, 3, 16):
        told = dict(answerer(0.0).answers([one.prompt for one in questions], False))
    known = [
        one for one in questions
        if one.prompt.form == "question" and one.prompt.recovered(told[one.prompt].text or "")
    ]  # fmt: skip
    assert curve(found, "forget: question").points[0].n == len(known) > 0


def test_the_same_attack_has_the_same_bytes(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    one, other = (attacked(answerer(0.05), checkpoint, asked) for _ in range(2))
    assert document.to_bytes(one) == document.to_bytes(other)
    assert document.parse(document.to_bytes(one)) == one
    assert one.settings["bits"] == "3, 8"


def test_the_weights_are_left_as_they_were(
    answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    before = {name: one.clone() for name, one in checkpoint.model.state_dict().items()}
    attacked(answerer(0.05), checkpoint, asked)
    after = checkpoint.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("bits", [(1,), (8, 16), ()])
def test_other_numbers_of_bits_are_refused(bits: tuple[int, ...]) -> None:
    with pytest.raises(LetheError, match=r"--bits: expected 2 to 15, found"):
        Settings(bits=bits)


def test_a_base_that_knows_nothing_is_refused(
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
