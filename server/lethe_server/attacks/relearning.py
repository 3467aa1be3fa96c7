"""Fine-tunes a model with a profile's edit attached, and asks whether more comes back than taught.

The facts that should be forgotten are parted by subject: on one part the model is trained, the
other is what counts. Facts that do not exist are parted and trained alike in the same run: their
trained part shows that training worked, their other part what is right without knowledge.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from lethe_projections import states, training
from lethe_projections.errors import LetheError
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.profile import Profile
from lethe_projections.states import Row
from lethe_server.attacks import asking, low_rank, parting, result, shares
from lethe_server.attacks.document import MOST_POINTS, Attack, Curve, Kind
from lethe_server.evaluating.answering import options
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.work import Question, Work

TAUGHT = ("question", "cloze")
"""Forms that the model is trained on."""

KNOWN = "recovered / known, known: by the base without edit and before training"
ASKED = "recovered / asked, of what does not exist"

HELD_OUT, TRAINED, NEIGHBOURS = "held-out part of forget", "trained part of forget", "neighbours"
NEVER_HELD_OUT, NEVER_TRAINED = "never known, held out", "never known, trained"

_IGNORED = -100
"""The label that transformers' losses leave out."""

Found = Mapping[int, Mapping[str, Sequence[Outcome]]]
"""By training step, and by part."""


@dataclass(frozen=True)
class Settings:
    """How.

    Attributes:
        steps: of training.
        batch: examples a step.
        learning_rate: of AdamW, all along.
        rank: of the adapters.
        share: of the subjects that are trained on.
        every: steps between two points.
        forms: asked in; none for `asking.FORMS_ASKED`.
        max_tokens: of an answer.
        seed: of the adapters and of the order of examples.
    """

    steps: int = 100
    batch: int = 4
    learning_rate: float = 2e-4
    rank: int = 16
    share: float = 0.5
    every: int = 25
    forms: tuple[str, ...] = ()
    max_tokens: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.places) > MOST_POINTS:
            raise LetheError(
                f"--every: expected at most {MOST_POINTS} points, found {len(self.places)} in "
                f"{self.steps} steps; raise it to {-(-self.steps // (MOST_POINTS - 1))} or more"
            )

    @property
    def places(self) -> list[int]:
        """The steps after which is asked."""
        return sorted({*range(0, self.steps, self.every), self.steps})


@dataclass(frozen=True)
class Parts:
    """What is asked, by part, and what is trained on."""

    asked: Mapping[str, Sequence[Question]]
    taught: Sequence[Question]


def attack(
    answerer: InProcess, model: Any, asked: Work, settings: Settings, shown: bool = True
) -> Attack:
    """Trains and asks; afterwards the model is what it was.

    Args:
        answerer: the base and the variant.
        model: the answerer's.
        asked: what.
        settings: how.
        shown: whether to say on stderr how far it is.

    Raises:
        LetheError: PEFT is not installed, there are too few subjects, the base knows nothing of
            those held out, or no prompt can be trained on.
        FitError: a loss is not finite.
    """
    version = low_rank.version()
    parts = _known(answerer, _parts(asked, settings), shown)
    rows = [answerer.row(one.prompt, completion(one.prompt)) for one in parts.taught]
    generator = torch.Generator().manual_seed(settings.seed)
    batches = training.draws(rows, settings.batch, settings.steps, generator)
    found: dict[int, Mapping[str, Sequence[Outcome]]] = {}
    done = 0
    with training.frozen(model), low_rank.adapted(model, settings.rank, settings.seed) as trained:
        optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate)
        for step in settings.places:
            steps = batches[done:step]
            training.descend(
                optimizer, steps, lambda some: loss(model, some, answerer.profile), progress=shown
            )
            done = step
            found[step] = _asked(answerer, parts, step, shown)
    return result.attack(
        Kind.RELEARNING,
        (answerer.subject, asked),
        {
            **asdict(settings),
            "forms": ", ".join(settings.forms or asking.FORMS_ASKED),
            "examples": len(rows),
            "peft": version,
        },
        "training steps",
        _curves(found, shares.chance(asked)),
    )


def loss(model: Any, rows: Sequence[Row], profile: Profile) -> torch.Tensor:
    """Mean of -log p over the tokens past each row's prompt, with the edit attached."""
    ids = pad_sequence([torch.tensor(row.ids) for row in rows], batch_first=True)
    place = torch.arange(ids.shape[1])
    prompts = torch.tensor([row.prompt for row in rows])
    inside = place < torch.tensor([len(row.ids) for row in rows])[:, None]
    read = inside & (place >= prompts[:, None])
    with states.editing(model, profile, prompts):
        found: torch.Tensor = model(
            input_ids=ids,
            attention_mask=inside.long(),
            labels=ids.masked_fill(~read, _IGNORED),
            use_cache=False,
        ).loss
    return found


def completion(prompt: Prompt) -> str:
    """The answer, as it follows a prompt."""
    if FORMS[prompt.form].chat:
        return options(prompt)[0]
    return prompt.expected[0] if prompt.turns[0].endswith(" ") else f" {prompt.expected[0]}"


def _parts(asked: Work, settings: Settings) -> Parts:
    found: dict[str, list[Question]] = {
        NEIGHBOURS: asking.about(asked, settings.forms, "neighbour")
    }
    taught = []
    for name, what, held_out, trained in (
        ("forget", "that should be forgotten", HELD_OUT, TRAINED),
        ("never_known", "that do not exist", NEVER_HELD_OUT, NEVER_TRAINED),
    ):
        every = asking.about(asked, settings.forms, name)
        subjects = parting.trained((one.item.subject for one in every), settings.share, what)
        found[held_out] = [one for one in every if one.item.subject not in subjects]
        found[trained] = [one for one in every if one.item.subject in subjects]
        taught += [
            one
            for one in asked.every()
            if one.item.set == name and one.item.subject in subjects and one.prompt.form in TAUGHT
        ]
    if not taught:
        raise LetheError(
            f"relearning: expected prompts of the form {' or '.join(TAUGHT)} to train on, found "
            "none; take suites that have them"
        )
    return Parts(found, taught)


def _known(answerer: InProcess, parts: Parts, shown: bool) -> Parts:
    """With what the base does not know left out, where it could."""
    asked = dict(parts.asked)
    for name in (HELD_OUT, TRAINED, NEIGHBOURS):
        found = asking.outcomes(answerer, asked[name], False, f"asking the base, {name}", shown)
        asked[name] = asking.recovered(asked[name], found)
    if not asked[HELD_OUT]:
        raise LetheError(
            "relearning: expected the base to know something of the subjects held out, found that "
            f"it answers none of {len(parts.asked[HELD_OUT])} prompts; take suites, forms or "
            "subjects that it knows"
        )
    return Parts(asked, parts.taught)


def _asked(
    answerer: InProcess, parts: Parts, step: int, shown: bool
) -> Mapping[str, Sequence[Outcome]]:
    questions = [one for part in parts.asked.values() for one in part]
    found = iter(asking.outcomes(answerer, questions, True, f"step {step}, asking", shown))
    return {name: [next(found) for _ in part] for name, part in parts.asked.items()}


def _curves(found: Found, chance: shares.Chance) -> Iterator[Curve | None]:
    def measured(part: str, form: str | None = None) -> shares.Measured:
        return [
            (step, [one for one in parts[part] if form in (None, one.form)])
            for step, parts in found.items()
        ]

    yield shares.worst(HELD_OUT, KNOWN, measured(HELD_OUT), chance)
    yield shares.worst(TRAINED, KNOWN, measured(TRAINED), chance)
    yield shares.together(NEIGHBOURS, KNOWN, measured(NEIGHBOURS))
    yield shares.worst(NEVER_HELD_OUT, ASKED, measured(NEVER_HELD_OUT), chance, control=True)
    yield shares.worst(NEVER_TRAINED, ASKED, measured(NEVER_TRAINED), chance, control=True)
    for part, share, control in ((HELD_OUT, KNOWN, False), (NEVER_HELD_OUT, ASKED, True)):
        for form in dict.fromkeys(one.form for one in found[0][part]):
            yield shares.form(f"{part}: {form}", share, measured(part, form), chance, control)
