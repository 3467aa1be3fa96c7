"""What a linear map reads of planted answers, and that it is what others would fit."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge

from lethe_projections import reference
from lethe_projections.orthonormal import orthonormal_rows
from lethe_projections.projector import Projector, Site
from lethe_server.attacks import fact_probe, reading_answers
from lethe_server.attacks.document import Curve
from lethe_server.attacks.fact_probe import Facts, Sums
from lethe_server.attacks.hidden import Hidden

BLOCKS, HIDDEN, ANSWERS, SUBJECTS, TEXT = 4, 24, 6, 40, 400
EDITED = 2
"""The block after which the planted directions are projected out."""


def drawn(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def planted(known: torch.Tensor | None = None) -> tuple[Facts, Hidden, tuple[Sums, Sums]]:
    """States in which directions, one an answer, say what the base will score, from block 0 on.

    Args:
        known: [n, answers], what states of prompts have along those; default: the right answer's.
    """
    directions = orthonormal_rows(drawn(ANSWERS, HIDDEN)).double()
    right = torch.arange(2 * SUBJECTS) % ANSWERS
    known = 3.0 * torch.eye(ANSWERS, dtype=torch.float64)[right] if known is None else known
    texts, prompts = drawn(BLOCKS, TEXT, HIDDEN), drawn(BLOCKS, 2 * SUBJECTS, HIDDEN)
    prompts += (known - prompts @ directions.T) @ directions
    told = texts[0] @ directions.T
    texts[1:] += (told - texts[1:] @ directions.T) @ directions
    subjects = tuple(f"s{place % SUBJECTS}" for place in range(2 * SUBJECTS))
    options = torch.ones(2 * SUBJECTS, ANSWERS, dtype=torch.bool)
    kept = torch.arange(2 * SUBJECTS) % SUBJECTS < SUBJECTS // 2
    facts = Facts(subjects, known, options, right, kept)
    edited = [projected(one, directions) for one in (texts, prompts)]
    states = Hidden(tuple(range(2 * SUBJECTS)), prompts, edited[1], drawn(1, HIDDEN))
    return facts, states, (Sums.of(texts, told), Sums.of(edited[0], told))


def projected(states: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    projector = Projector(Site(EDITED, "block"), directions.float(), -directions.float())
    found = states.clone()
    for block in range(EDITED, BLOCKS):
        found[block] = reference.apply(projector, states[block], states[block])
    return found


def curves(*made: object) -> dict[str, Curve]:
    facts, states, text = made or planted()
    found = reading_answers.curves(facts, states, text, False)  # type: ignore[arg-type]
    return {one.name: one for one in found}


def values(one: Curve) -> list[float]:
    return [point.value for point in one.points]


def test_what_is_projected_out_is_read_before_and_not_after() -> None:
    found = curves()
    assert values(found["answer, in the base"]) == [1.0] * BLOCKS
    read = [values(one) for one in found.values() if not one.control]
    assert len(read) == 3
    for shares in read:
        assert shares[:EDITED] == [1.0] * EDITED
        assert max(shares[EDITED:]) < 2.5 / ANSWERS


def test_another_answer_is_read_no_more_than_by_chance() -> None:
    found = curves()["another answer, probe of the variant"]
    assert found.control
    assert values(found)[:EDITED] == [0.0] * EDITED
    assert max(values(found)[EDITED:]) < 2.5 / ANSWERS


def test_without_an_edit_all_readings_are_the_bases() -> None:
    facts, states, (text, _) = planted()
    same = Hidden(states.texts, states.base, states.base, states.final)
    found = curves(facts, same, (text, text))
    base = found["answer, in the base"].points
    assert found["answer, probe of the variant"].points == base
    assert found["answer, probe of the base"].points == base


def test_what_is_not_in_the_states_is_not_read() -> None:
    facts, states, text = planted(known=0.1 * drawn(2 * SUBJECTS, ANSWERS))
    assert max(values(curves(facts, states, text)["answer, in the base"])) < 2.5 / ANSWERS


def test_no_map_has_seen_the_subject_that_it_reads() -> None:
    facts, states, (text, _) = planted()
    fitted = fact_probe.without(text, facts, states.base)
    for subject in set(facts.subjects):
        assert len({int(fold) for fold, one in zip(facts.folds, facts.subjects, strict=True)
                    if one == subject}) == 1  # fmt: skip
    weights = [float(one.moment[0, -1, -1]) for one in fitted]
    held_out = [fact_probe.WEIGHT * float((facts.folds == fold).sum()) for fold in range(5)]
    every = TEXT + fact_probe.WEIGHT * len(facts.subjects)
    assert weights == [every - one for one in held_out]


def test_a_map_is_that_of_weighted_ridge_regression() -> None:
    x, scores = drawn(1, 50, HIDDEN), drawn(50, ANSWERS)
    sums = Sums.of(x[:, :30], scores[:30]) + Sums.of(x[:, 30:], scores[30:], 4.0)
    weights = np.r_[np.ones(30), np.full(20, 4.0)]
    mean = np.average(x[0], axis=0, weights=weights)
    variance = (weights[:, None] * (x[0].numpy() - mean) ** 2).sum(0).mean()
    theirs = Ridge(alpha=0.05 * variance).fit(x[0], scores, weights)
    assert np.allclose(sums.map(0, 0.05)(x[0]), theirs.predict(x[0]), atol=1e-9)
    plain = LinearRegression().fit(x[0], scores, weights)
    assert np.allclose(sums.map(0, 0.0)(x[0]), plain.predict(x[0]), atol=1e-8)


def test_the_ridge_is_the_best_on_kept_facts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, states, (text, _) = planted()
    fitted = fact_probe.without(text, facts, states.base)
    noise = states.base[0] + 2 * drawn(*states.base[0].shape)
    told = {}
    for ridges in ((1e-4, 1e2), (1e-4,), (1e2,)):
        monkeypatch.setattr(fact_probe, "RIDGES", ridges)
        [told[ridges]] = fact_probe.answers(fitted, 0, facts, [noise])
    assert not torch.equal(told[1e-4,], told[1e2,])
    assert torch.equal(told[1e-4, 1e2], told[1e-4,])
    # Whatever is forgotten has no say in it.
    monkeypatch.setattr(fact_probe, "RIDGES", (1e-4, 1e2))
    other = torch.where(facts.kept, facts.right, told[1e2,])
    changed = Facts(facts.subjects, facts.scores, facts.options, other, facts.kept)
    [found] = fact_probe.answers(fitted, 0, changed, [noise])
    assert torch.equal(found, told[1e-4,])


def test_answers_of_other_relations_are_no_options() -> None:
    facts, states, text = planted()
    half = torch.arange(ANSWERS) % 2 == facts.right[:, None] % 2
    parted = Facts(facts.subjects, facts.scores, half, facts.right, facts.kept)
    found = curves(parted, states, text)["answer, probe of the variant"]
    assert "of 3.0 in its relation on average" in found.formula
    assert "by chance 0.333" in found.formula
    told = fact_probe.answers(fact_probe.without(text[1], parted, states.variant), 3, parted,
                              [states.variant[3]])[0]  # fmt: skip
    assert bool((told % 2 == facts.right % 2).all())
    assert bool((parted.others % 2 == facts.right % 2).all())
    assert not bool((parted.others == facts.right).any())
