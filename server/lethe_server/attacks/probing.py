"""Probing: reads the forgotten facts from the states after each block, with linear maps.

Two readings. Of the answer: by a map that never saw this subject's facts. Of the fact: which of the
forgotten ones is asked about, in wordings that it was not fitted on. Each is fitted on the
variant's own states, as one who has them would, and on the base's, to be read from the variant.
Internal: nothing is generated.
"""

from dataclasses import dataclass, replace
from functools import reduce

import torch

from lethe_projections import examples
from lethe_projections.errors import LetheError
from lethe_server.attacks import (
    identity_probe,
    probed,
    reading_answers,
    result,
    telling_facts,
)
from lethe_server.attacks.document import Attack, Kind
from lethe_server.attacks.fact_probe import Facts, Sums
from lethe_server.attacks.probed import Options, Reader
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint


@dataclass(frozen=True)
class Settings:
    """How it is done.

    Attributes:
        forms: what is asked in; none for `probed.FORMS_READ`.
        seed: of the shuffling in controls.
        batch: texts a pass; it changes no more than the last bits of a state.
    """

    forms: tuple[str, ...] = ()
    seed: int = 0
    batch: int = 8


def attack(
    answerer: InProcess, checkpoint: Checkpoint, asked: Work, settings: Settings, shown: bool = True
) -> Attack:
    """Reads what is there after every block.

    Args:
        answerer: whose profile, on the model of `checkpoint`.
        checkpoint: the base.
        asked: facts, and text that should not change.
        settings: how.
        shown: whether to say on stderr how far it is.

    Raises:
        LetheError: there is too little to ask, or to fit on, or scikit-learn is not installed.
    """
    identity_probe.check_installed()
    silent = _silent(asked)
    questions = probed.questions(asked, settings.forms)
    options = Options.of(questions, checkpoint.tokenizer)
    reader = Reader(answerer, checkpoint, options, settings.batch)
    states, scores = reader.prompts(questions, shown)
    subjects = tuple(one.item.subject for one in questions)
    kept = torch.tensor([one.item.set in probed.KEPT for one in questions])
    facts = Facts(subjects, scores, options.allowed(questions), options.right(questions), kept)
    curves = [
        *reading_answers.curves(facts, states, _sums(reader, silent, shown), shown),
        *telling_facts.curves(questions, states, settings.seed, shown),
    ]
    found = result.attack(
        Kind.PROBING,
        (answerer.subject, asked),
        {
            "forms": ", ".join(dict.fromkeys(one.prompt.form for one in questions)),
            "seed": settings.seed,
            "texts": len(silent.texts),
            "texts_left_out": len(asked.texts) - len(silent.texts),
            "texts_sha256": examples.digest(list(silent.texts)),
        },
        "after block",
        curves,
    )
    marks = {f"edit at {site}": float(site.layer) for site in answerer.profile.sites}
    return found.model_copy(update={"marks": marks})


def _silent(asked: Work) -> Work:
    """Without the text that names what should be forgotten: a map could learn the fact from it.

    Raises:
        LetheError: none is left.
    """
    found = replace(asked, texts=tuple(text for text in asked.texts if not asked.names(text)))
    if not found.texts:
        raise LetheError(
            "--texts: expected 1 or more that name nothing that should be forgotten, found "
            f"none of {len(asked.texts)}; the probe is fitted on text: give more, or other text "
            "with --retain"
        )
    return found


def _sums(reader: Reader, asked: Work, shown: bool) -> tuple[Sums, Sums]:
    """Of the text, on the states of base and variant."""
    both = (
        (Sums.of(part.base, scores), Sums.of(part.variant, scores))
        for part, scores in reader.text(asked, shown)
    )
    first = next(both)
    return reduce(lambda one, other: (one[0] + other[0], one[1] + other[1]), both, first)
