"""Reads an answer from hidden states: a linear map to the base's own final scores of answers.

    W_l = argmin sum_t w_t |W (x_t - mean) + mean score - score_t|^2 + ridge |W|^2

with x_t a state after block l and score_t what the base, in the end, gives each answer at that
token. It is fitted on text, on facts that are kept, and on other subjects' facts, never on those of
the subject that is read: what it reads of a fact was in the state, not in the map. On text alone it
is the tuned lens (Belrose et al., arXiv 2303.08112), by least squares. Knows no model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from lethe_projections.evaluation import split
from lethe_projections.ridge import Ridge

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Tried, as shares of the states' mean variance."""

FOLDS = 5
WEIGHT = 10.0
"""Tokens of text that a prompt about a fact counts as."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over tokens, from which a map follows.

    Attributes:
        moment: [blocks, hidden + 1, hidden + 1], of x x^T, x with a 1 at its end.
        cross: [blocks, hidden + 1, answers], of x score^T.
    """

    moment: Tensor
    cross: Tensor

    @classmethod
    def of(cls, states: Tensor, scores: Tensor, weight: float = 1.0) -> Self:
        """Of [blocks, t, hidden] and [t, answers]."""
        ones = torch.ones(*states.shape[:2], 1, dtype=states.dtype)
        x = torch.cat([states, ones], dim=-1)
        return cls(weight * x.mT @ x, weight * x.mT @ scores)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.moment + other.moment, self.cross + other.cross)

    def map(self, block: int, ridge: float) -> "Map":
        """The best one.

        Raises:
            FitError: the states do not vary.
        """
        moment, cross = self.moment[block], self.cross[block]
        count = moment[-1, -1]
        mean, score = moment[-1, :-1] / count, cross[-1] / count
        varying = moment[:-1, :-1] - count * torch.outer(mean, mean)
        together = cross[:-1] - count * torch.outer(mean, score)
        return Map(mean, score, Ridge.of(varying, ridge).solve(together.T))


@dataclass(frozen=True, eq=False)
class Map:
    """From states to scores of answers."""

    mean: Tensor
    score: Tensor
    weights: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        """[n, answers] of [n, hidden]."""
        return (states - self.mean) @ self.weights.T + self.score


@dataclass(frozen=True, eq=False)
class Facts:
    """Prompts about facts.

    Attributes:
        subjects: [n], whom they are about.
        scores: [n, answers], what the base gives each answer in the end.
        options: [n, answers] bool, the answers of the prompt's relation.
        right: [n] int64, the place of the right one.
        kept: [n] bool, whether the fact is to be kept.
    """

    subjects: tuple[str, ...]
    scores: Tensor
    options: Tensor
    right: Tensor
    kept: Tensor

    @cached_property
    def folds(self) -> Tensor:
        """[n] int64, by the rank of the subject's sha256: one subject is in one of them."""
        ordered = sorted(set(self.subjects), key=split.digest)
        places = {subject: rank % FOLDS for rank, subject in enumerate(ordered)}
        return torch.tensor([places[subject] for subject in self.subjects])

    @property
    def others(self) -> Tensor:
        """[n] int64, for each prompt the answer of another fact, of the same set if there is one.

        It is the next one of the relation, so that no answer is its own.
        """
        found = []
        for right, options, kept in zip(self.right, self.options, self.kept, strict=True):
            same = set(self.right[self.kept == kept].tolist())
            allowed = options.nonzero().flatten().tolist()
            among = [one for one in allowed if one in same]
            among = among if len(among) > 1 else allowed
            found.append(among[(among.index(int(right)) + 1) % len(among)])
        return torch.tensor(found)


def without(text: Sums, facts: Facts, states: Tensor) -> list[Sums]:
    """For each fold, text and the facts of all other folds, by their [blocks, n, hidden] states."""
    found = []
    for fold in range(FOLDS):
        others = facts.folds != fold
        found.append(text + Sums.of(states[:, others], facts.scores[others], WEIGHT))
    return found


def answers(
    fitted: Sequence[Sums], block: int, facts: Facts, states: Sequence[Tensor]
) -> list[Tensor]:
    """The answers that are read after a block.

    The ridge is the one under which the right answers of facts that are kept are likeliest.

    Args:
        fitted: for each fold, what its map follows from.
        block: which.
        facts: what is asked.
        states: [n, hidden], first those that the maps were fitted on, then others.

    Returns:
        For each of `states`, [n] int64, the place of the answer that scores most.

    Raises:
        FitError: the states do not vary.
    """
    tried = [_scores([one.map(block, ridge) for one in fitted], facts, states) for ridge in RIDGES]
    best = max(tried, key=lambda scores: _likelihood(scores[0], facts))
    return [scores.argmax(-1) for scores in best]


def _scores(maps: Iterable[Map], facts: Facts, states: Sequence[Tensor]) -> list[Tensor]:
    """Of each of `states`, with answers of other relations ruled out."""
    found = [torch.full(facts.scores.shape, -torch.inf, dtype=torch.float64) for _ in states]
    for fold, one in enumerate(maps):
        chosen = facts.folds == fold
        for scores, read in zip(found, states, strict=True):
            scores[chosen] = one(read[chosen]).masked_fill(~facts.options[chosen], -torch.inf)
    return found


def _likelihood(scores: Tensor, facts: Facts) -> float:
    """Mean log-probability of the right answers of facts that are kept."""
    told = scores[facts.kept].log_softmax(-1)
    return float(told.gather(-1, facts.right[facts.kept, None]).mean())
