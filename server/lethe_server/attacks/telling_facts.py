"""Curves of which forgotten fact is asked about, told from hidden states by `identity_probe`."""

from collections.abc import Iterator, Sequence

import numpy as np

from lethe_server.attacks import identity_probe, probing_curve
from lethe_server.attacks.document import Curve
from lethe_server.attacks.hidden import Hidden
from lethe_server.attacks.probing_curve import BASE, VARIANT, Hits
from lethe_server.evaluating.work import Question

FORMULA = (
    "share of prompts whose fact, of {count}, is told by multinomial logistic regression on the "
    "state after the block, fitted on {fitted} with the other half of the wordings; by "
    "chance {chance:.3f}"
)

SHUFFLED = f"{VARIANT}, labels shuffled,"


def curves(
    questions: Sequence[Question], states: Hidden, seed: int, shown: bool
) -> Iterator[Curve]:
    """Those of the variant first; none where there are not two facts, each in two wordings.

    Args:
        questions: all that were asked.
        states: at the end of each of their prompts.
        seed: of the shuffling in the control.
        shown: whether to say on stderr how far it is.
    """
    chosen, second = _in_both_halves(questions)
    facts = [questions[place].item.id for place in chosen]
    names, labels = np.unique(facts, return_inverse=True)
    if len(names) < 2:
        return
    wrong = identity_probe.shuffled(labels, second, seed)
    adaptive, transferred, known, shuffled = [list[Hits]() for _ in range(4)]
    for block in probing_curve.blocks(states, "telling facts apart", shown):
        base, variant = (one[block, chosen].numpy() for one in (states.base, states.variant))
        [told] = identity_probe.told(variant, [variant], labels, second)
        adaptive.append(told == labels)
        edited, own = identity_probe.told(base, [variant, base], labels, second)
        transferred.append(edited == labels)
        known.append(own == labels)
        [told] = identity_probe.told(variant, [variant], wrong, second)
        shuffled.append(told == labels)

    subjects = [questions[place].item.subject for place in chosen]

    def curve(name: str, fitted: str, hits: Sequence[Hits], control: bool = False) -> Curve:
        formula = FORMULA.format(count=len(names), fitted=fitted, chance=1 / len(names))
        return probing_curve.curve(name, formula, subjects, hits, control)

    yield curve("which fact, probe of the variant", VARIANT, adaptive)
    yield curve("which fact, probe of the base", BASE, transferred)
    yield curve("which fact, in the base", BASE, known, control=True)
    yield curve("which fact, labels shuffled", SHUFFLED, shuffled, control=True)


def _in_both_halves(questions: Sequence[Question]) -> tuple[list[int], Hits]:
    """Places of those about forgotten facts in wordings of both halves; and which half is its."""
    forget = [place for place, one in enumerate(questions) if one.item.set == "forget"]
    wordings = sorted({_wording(questions[place]) for place in forget})
    half = {wording: rank % 2 for rank, wording in enumerate(wordings)}
    halves: dict[str, set[int]] = {}
    for place in forget:
        one = questions[place]
        halves.setdefault(one.item.id, set()).add(half[_wording(one)])
    chosen = [place for place in forget if len(halves[questions[place].item.id]) == 2]
    return chosen, np.array([half[_wording(questions[place])] == 1 for place in chosen], dtype=bool)


def _wording(one: Question) -> tuple[str, int]:
    return one.prompt.form, one.prompt.number
