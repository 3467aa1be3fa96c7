"""What tells forget from retain passages: which tokens, which neighbours, which directions.

Knows nothing of methods and of training.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import or_

import torch
from torch import Tensor

from lethe_projections import activations
from lethe_projections.errors import FitError
from lethe_projections.moments import SecondMoments
from lethe_projections.passages import Passage, collate, padded, template_tokens
from lethe_projections.projector import Site
from lethe_projections.task import Task

COMMON = 0.01
"""A token in more than this share of the retain passages tells nothing: of 1308 packaged lines that
do not mention France, "capital" is in 13 %, "Paris" in 0.2 %."""


@dataclass(frozen=True)
class Contrast:
    """Forget and retain passages, compared.

    Attributes:
        forget: what must go.
        retain: what must stay.
        subjects: what the forget passages are about, as far as they say.
    """

    forget: Sequence[Passage]
    retain: Sequence[Passage]
    subjects: tuple[str, ...] = ()

    def telling(self, passage: Passage) -> tuple[bool, ...]:
        """For each token of a forget passage, whether it is of a subject or of what is given away.

        Where no subject is named, whether retain passages hardly have it; where they have all, all
        but the first.
        """
        named, secret = passage.mentions(self.subjects), self.secret(passage)
        either = tuple(a or b for a, b in zip(named, secret, strict=True))
        rare = self._rare(passage)
        rest = (False, *[True] * (len(rare) - 1))
        return either if any(named) else rare if any(rare) else rest

    def secret(self, passage: Passage) -> tuple[bool, ...]:
        """For each token, whether it is what the answer gives away.

        Those of a subject that the prompt does not have; or else the rare ones that it does not;
        or else the whole answer. To push the rest of "The capital of France is Paris." out of a
        model is to take its language from it.
        """
        answer, prompt = passage.answer, passage.question
        unasked = [one for one in self.subjects if not any(prompt.mentions([one]))]
        named = _both(answer, passage.mentions(unasked))
        new = tuple(id not in prompt.tokens.ids for id in passage.tokens.ids)
        rare = _both(_both(answer, new), self._rare(passage))
        return named if any(named) else rare if any(rare) else answer

    def from_telling(self, passage: Passage) -> tuple[bool, ...]:
        """For each token, whether it is the first telling one or comes after it."""
        return tuple(accumulate(self.telling(passage), or_))

    def _rare(self, passage: Passage) -> tuple[bool, ...]:
        bound = COMMON * len(self.retain)
        rare = (self._counts[id] <= bound for id in passage.tokens.ids)
        return tuple(one and place > 0 for place, one in enumerate(rare))

    @property
    def near(self) -> list[Passage]:
        """The eighth of the retain passages nearest to the forget passages, at least one."""
        return self._by_nearness[: self._near]

    @property
    def far(self) -> list[Passage]:
        """The other retain passages."""
        return self._by_nearness[self._near :]

    @cached_property
    def template(self) -> int:
        """How many tokens every conversation begins with."""
        return template_tokens((*self.forget, *self.retain))

    @property
    def _near(self) -> int:
        return max(1, len(self.retain) // 8)

    @cached_property
    def _by_nearness(self) -> list[Passage]:
        """Those that share the most rare tokens with forget passages first; of equals the earlier.

        The score is the summed inverse document frequency of the shared tokens over the root of
        how many tokens differ in the passage.
        """
        counts, wanted = self._counts, {id for one in self.forget for id in one.tokens.ids}

        def score(passage: Passage) -> float:
            ids = set(passage.tokens.ids)
            weights = (math.log(len(self.retain) / counts[id]) for id in sorted(ids & wanted))
            return sum(weights) / math.sqrt(len(ids))

        return sorted(self.retain, key=score, reverse=True)

    @cached_property
    def _counts(self) -> Counter[int]:
        return Counter(id for passage in self.retain for id in set(passage.tokens.ids))


def _both(left: Sequence[bool], right: Sequence[bool]) -> tuple[bool, ...]:
    return tuple(a and b for a, b in zip(left, right, strict=True))


def rows(
    task: Task, passages: Sequence[Passage], marks: Sequence[Sequence[bool]], sites: Sequence[Site]
) -> dict[Site, Tensor]:
    """What each site reads at the marked tokens, [n, d] float64 on the CPU."""
    found: dict[Site, list[Tensor]] = {site: [] for site in sites}
    for start in range(0, len(passages), task.limits.batch_size):
        batch = collate(passages[start : start + task.limits.batch_size])
        wanted = padded(marks[start : start + task.limits.batch_size])
        for site, x in activations.read(task.model, batch.tokens, sites).items():
            found[site].append(x[wanted.to(x.device)].to("cpu", torch.float64))
    return {site: torch.cat(parts) for site, parts in found.items()}


def halves(
    task: Task, near: Sequence[Passage], far: Sequence[Passage], sites: Sequence[Site]
) -> dict[Site, Tensor]:
    """Second moment per token at each site, near and far passages counting half each.

    Every token counts, those that all prompts begin with as often as they are met: an edit that
    acts on them acts on every answer.

    Returns:
        [d, d] float64 a site.
    """
    parts = [_moments(task, some, sites) for some in (near, far) if some]
    return {site: torch.stack([part[site].mean for part in parts]).mean(dim=0) for site in sites}


def _moments(
    task: Task, passages: Sequence[Passage], sites: Sequence[Site]
) -> dict[Site, SecondMoments]:
    found: dict[Site, SecondMoments] = {}
    # Texts of like length together: little padding to compute.
    ordered = sorted(passages, key=lambda passage: len(passage.tokens.ids))
    for start in range(0, len(ordered), task.limits.batch_size):
        batch = collate(ordered[start : start + task.limits.batch_size])
        for site, x in activations.read(task.model, batch.tokens, sites).items():
            sums = found.setdefault(site, SecondMoments(x.shape[-1], x.device))
            sums.update(x[batch.real.to(x.device)])
    return found


def whitening(moment: Tensor, ridge: float) -> Tensor:
    """P with P^T (C + ridge * s I) P = I, lower triangular's inverse; s the median of C's diagonal.

    The median, because a few dimensions of a residual stream are hundreds of times as large as the
    others.

    Args:
        moment: C, [d, d] float64, mean of x x^T over retain tokens.
        ridge: above 0.

    Returns:
        [d, d] float64.

    Raises:
        FitError: C is zero or not finite.
    """
    identity = torch.eye(len(moment), dtype=torch.float64)
    L, failed = torch.linalg.cholesky_ex(moment + ridge * moment.diagonal().median() * identity)
    if failed or not bool(torch.isfinite(L).all()):
        raise FitError(
            "retain text: expected activations with a positive second moment, found none; "
            "give more text or a larger ridge"
        )
    P: Tensor = torch.linalg.solve_triangular(L, identity, upper=False).T
    return P


def leading(forget: Tensor, P: Tensor, count: int) -> Tensor:
    """Whitened directions V of most forget energy; q = P v are those on x.

        max_q  |F q|^2 / q^T (C + ridge * s I) q

    The q are generalised eigenvectors of F^T F and C. As the ridge falls, the principal directions
    of retain text are left out first; as it rises, they are forget text's own.

    Args:
        forget: F, [n, d] float64.
        P: `whitening`.
        count: how many.

    Returns:
        V, [count, d] float64, orthonormal, the best first.

    Raises:
        FitError: there are more directions than rows or dimensions.
    """
    if count > min(forget.shape):
        raise FitError(
            f"rank: expected up to {min(forget.shape)}, the forget text's telling tokens or the "
            f"width, found {count}; lower it or give more examples"
        )
    V: Tensor = torch.linalg.svd(forget @ P, full_matrices=False).Vh[:count]
    return V
