"""Curves of the right answer, read from hidden states by `fact_probe`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from lethe_server.attacks import fact_probe, probing_curve
from lethe_server.attacks.document import Curve
from lethe_server.attacks.fact_probe import Facts, Sums
from lethe_server.attacks.hidden import Hidden
from lethe_server.attacks.probing_curve import BASE, VARIANT

FORMULA = (
    "share of prompts whose {which} begins with the token that scores most, of {options:.1f} in "
    "its relation on average, by a linear map of the state after the block, fitted on {fitted} "
    "with text, kept facts and other subjects' forgotten facts; by chance {chance:.3f}"
)
RIGHT, OTHER = "right answer", "relation's next answer, which is wrong,"


def curves(facts: Facts, states: Hidden, text: tuple[Sums, Sums], shown: bool) -> Iterator[Curve]:
    """Those of the variant first.

    Args:
        facts: what is asked.
        states: at the end of each prompt.
        text: what follows of text, on the states of base and of variant.
        shown: whether to say on stderr how far it is.

    Raises:
        FitError: the states do not vary.
    """
    base, variant = (
        fact_probe.without(one, facts, own)
        for one, own in zip(text, (states.base, states.variant), strict=True)
    )
    adaptive, known, transferred = [], [], []
    for block in probing_curve.blocks(states, "reading answers", shown):
        own, edited = states.base[block], states.variant[block]
        adaptive += fact_probe.answers(variant, block, facts, [edited])
        both = fact_probe.answers(base, block, facts, [own, edited])
        known.append(both[0])
        transferred.append(both[1])
    forget, kept = _Asked(facts, False), _Asked(facts, True)
    yield forget.curve("answer, probe of the variant", VARIANT, adaptive)
    yield forget.curve("answer, probe of the base", BASE, transferred)
    yield kept.curve("answer of kept facts, probe of the variant", VARIANT, adaptive)
    yield forget.curve("answer, in the base", BASE, known, control=True)
    yield forget.other("another answer, probe of the variant", VARIANT, adaptive)


@dataclass(frozen=True)
class _Asked:
    """The prompts about facts that should be forgotten, or kept."""

    facts: Facts
    kept: bool

    def curve(self, name: str, fitted: str, told: Sequence[Tensor], control: bool = False) -> Curve:
        """How often the right answer was told."""
        return self._curve((name, fitted, RIGHT), told, self.facts.right, control)

    def other(self, name: str, fitted: str, told: Sequence[Tensor]) -> Curve:
        """How often another one was."""
        return self._curve((name, fitted, OTHER), told, self.facts.others, True)

    def _curve(
        self, what: tuple[str, str, str], told: Sequence[Tensor], expected: Tensor, control: bool
    ) -> Curve:
        name, fitted, which = what
        chosen = self.facts.kept == self.kept
        counts = self.facts.options[chosen].sum(-1).tolist()
        formula = FORMULA.format(
            which=which, fitted=fitted, options=fmean(counts), chance=fmean(1 / n for n in counts)
        )
        pairs = zip(self.facts.subjects, chosen.tolist(), strict=True)
        subjects = [subject for subject, its in pairs if its]
        hits = [(one == expected)[chosen].numpy() for one in told]
        return probing_curve.curve(name, formula, subjects, hits, control)
