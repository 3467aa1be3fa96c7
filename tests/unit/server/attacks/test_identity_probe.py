"""Telling facts apart: what is planted is told, and labels without meaning are not."""

import builtins
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lethe_projections.errors import LetheError
from lethe_server.attacks import identity_probe

FACTS, EACH, HIDDEN = 8, 6, 30
LABELS = np.repeat(np.arange(FACTS), EACH)
SECOND = np.arange(len(LABELS)) % 2 == 1


def states(signal: float) -> Any:
    drawn = np.random.default_rng(3)
    centres = drawn.normal(size=(FACTS, HIDDEN))
    return signal * centres[LABELS] + drawn.normal(size=(len(LABELS), HIDDEN))


def share(told: Any) -> float:
    return float((told == LABELS).mean())


def test_what_is_planted_is_told_in_other_wordings() -> None:
    [told] = identity_probe.told(states(3.0), [states(3.0)], LABELS, SECOND)
    assert share(told) == 1


def test_noise_and_shuffled_labels_tell_what_chance_does() -> None:
    wrong = identity_probe.shuffled(LABELS, SECOND, 0)
    for labels, signal in ((LABELS, 0.0), (wrong, 3.0)):
        [told] = identity_probe.told(states(signal), [states(signal)], labels, SECOND)
        assert share(told) < 3 / FACTS
    for half in (SECOND, ~SECOND):
        assert sorted(wrong[half]) == sorted(LABELS[half])
    assert not np.array_equal(wrong, identity_probe.shuffled(LABELS, SECOND, 1))


def test_one_probe_reads_others_states() -> None:
    own, other = identity_probe.told(states(3.0), [states(3.0), states(0.0)], LABELS, SECOND)
    assert share(own) == 1
    assert share(other) < 3 / FACTS


def test_it_is_scikit_learns_whatever_the_coordinates() -> None:
    x = states(0.7)
    [told] = identity_probe.told(x, [x], LABELS, SECOND)
    mean = x[SECOND].mean(axis=0)
    length = np.sqrt(((x[SECOND] - mean) ** 2).sum(axis=1).mean())
    theirs = LogisticRegression(C=identity_probe.STRENGTH, max_iter=1000, tol=1e-8)
    theirs.fit((x[SECOND] - mean) / length, LABELS[SECOND])
    assert np.array_equal(told[~SECOND], theirs.predict((x[~SECOND] - mean) / length))


def test_states_that_are_all_alike_tell_nothing() -> None:
    same = np.ones((len(LABELS), HIDDEN))
    [told] = identity_probe.told(same, [same], LABELS, SECOND)
    assert share(told) == 1 / FACTS


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "sklearn":
            raise ImportError("No module named 'sklearn'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LetheError, match=r"pip install 'vllm-lethe\[evaluation\]'"):
        identity_probe.check_installed()
