"""Requests to forget one after the other: is what was requested first still forgotten at the end?

After each, everything requested so far is asked again, of the profile in effect from then on, and
so is what no request of the schedule names. Answers are kept in a folder, as `lethe eval` keeps
them.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lethe_projections import examples
from lethe_projections.errors import LetheError
from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_server.attacks import result, shares
from lethe_server.attacks.document import Attack, Curve, Kind, Point, Setting
from lethe_server.attacks.schedule import Schedule
from lethe_server.evaluating import command, keeping, outcomes, running
from lethe_server.evaluating.evidence import Measure
from lethe_server.evaluating.folder import Folder
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.outcomes import Pair
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint

KNOWN = "recovered / known, over prompts that the base recovers"
ASKED = "recovered / all, over all prompts"


@dataclass(frozen=True)
class Step:
    """What came back after a request.

    Attributes:
        at: how many requests there were by then.
        pairs: answers of base and variant.
        measures: on text that should not change; none where none was read.
    """

    at: int
    pairs: list[Pair]
    measures: list[Measure]

    def known(self, name: str, subjects: Collection[str] | None = None) -> list[Outcome]:
        """The variant's, of prompts that the base recovers.

        Args:
            name: a key of `suite.SETS`.
            subjects: whom they are about; None for all.
        """
        both = [
            one.outcomes
            for one in outcomes.of(self.pairs, name)
            if subjects is None or one.question.item.subject in subjects
        ]
        return recovery.known([variant for _, variant in both], [base for base, _ in both])

    @property
    def never_known(self) -> list[Outcome]:
        """The variant's, of all prompts about what does not exist."""
        return [one.outcomes[1] for one in outcomes.of(self.pairs, "never_known")]


def answerers(
    schedule: Schedule, checkpoint: Checkpoint, max_tokens: int, batch: int
) -> list[InProcess]:
    """One a request: all profiles are read before anything is asked.

    Raises:
        LetheError: one is no profile, or for another model.
    """
    files = [Path(one.profile) for one in schedule.requests]
    return [InProcess(checkpoint, file, max_tokens, batch) for file in files]


def attack(
    schedule: Schedule,
    asking: Sequence[InProcess],
    asked: Work,
    folder: Folder,
    shown: bool = True,
) -> Attack:
    """Asks what the folder does not have yet.

    Args:
        schedule: what was requested.
        asking: who answers after each.
        asked: suites with all that is ever requested marked, and text that should not change.
        folder: of answers.
        shown: whether to say on stderr how far it is.

    Raises:
        LetheError: a request has no fact that is asked about, or none that the base knows; or as
            `running.run`.
        OSError: the folder cannot be written.
    """
    _check(schedule, asked)
    with folder.alone():
        steps = [
            _step(place, one, (asked, _so_far(schedule, asked, place)), folder, shown)
            for place, one in enumerate(asking, 1)
        ]
    return result.attack(
        Kind.REQUESTS,
        (asking[-1].subject, asked),
        _settings(schedule, asking, asked),
        "requests so far",
        _curves(schedule, asked, steps, asking[0].subject.divergence),
    )


def opened(out: Path, answerer: InProcess, max_tokens: int) -> Folder:
    """The folder of `lethe eval --offline`: answers that are there are not asked for again.

    Raises:
        LetheError: what is there was answered otherwise.
        OSError: it cannot be read or written.
    """
    return Folder(out, command.in_common(answerer.subject, max_tokens))


def _step(
    at: int, answerer: InProcess, asked: tuple[Work, Work], folder: Folder, shown: bool
) -> Step:
    """`asked` is all, and what there is to ask by now: texts are the same after each request."""
    whole, now = asked
    running.run(answerer, now, folder, shown)
    subject = answerer.subject
    variant = folder.variant(subject.digest)
    pairs = outcomes.pairs(now.every(), folder.base(), variant)
    if not whole.texts:
        return Step(at, pairs, [])
    found = keeping.retained(whole, variant, subject.divergence)
    return Step(at, pairs, [one for one in found.measures if one.formula == subject.divergence])


def _so_far(schedule: Schedule, asked: Work, place: int) -> Work:
    """Without what is requested later."""
    later = {subject for one in schedule.requests[place:] for subject in one.forget}
    suites = (
        replace(one, items=tuple(item for item in one.items if item.subject not in later))
        for one in asked.suites
    )
    return replace(asked, suites=tuple(suites))


def _curves(
    schedule: Schedule, asked: Work, steps: Sequence[Step], divergence: str
) -> Iterator[Curve | None]:
    """The one over everything first.

    Raises:
        LetheError: the base knows nothing of a request.
    """
    chance = shares.chance(asked)
    every = [(step.at, step.known("forget")) for step in steps]
    yield shares.worst("everything requested so far", KNOWN, every, chance)
    for place, request in enumerate(schedule.requests, 1):
        since = [
            (step.at, step.known("forget", set(request.forget)))
            for step in steps
            if step.at >= place
        ]
        found = shares.worst(f"request {place}", KNOWN, since, chance)
        if found is None:
            raise LetheError(
                f"request {place}: expected the base to know something of "
                f"{', '.join(request.forget)!s:.200}, found that it answers no prompt; take a "
                "suite, or subjects, that it knows"
            )
        yield found
    for name, label in (("neighbour", "neighbours"), ("unrelated", "unrelated facts")):
        yield shares.together(label, KNOWN, [(step.at, step.known(name)) for step in steps])
    yield _divergence(steps, divergence)
    unknown = [(step.at, step.never_known) for step in steps]
    yield shares.worst("never known", ASKED, unknown, chance, control=True)


def _divergence(steps: Sequence[Step], formula: str) -> Curve | None:
    points = [
        Point(at=step.at, value=one.value, interval=one.interval, n=one.n, clusters=one.clusters)
        for step in steps
        for one in step.measures
    ]
    return Curve(name="KL on retain text", formula=formula, points=points) if points else None


def _settings(schedule: Schedule, asking: Sequence[InProcess], asked: Work) -> dict[str, Setting]:
    """What was requested, and which profile was in effect from then on."""
    found: dict[str, Setting] = {"texts": len(asked.texts)}
    if asked.texts:
        found["texts_sha256"] = examples.digest(list(asked.texts))
    pairs = zip(schedule.requests, asking, strict=True)
    for place, (request, answerer) in enumerate(pairs, 1):
        found[f"request {place}"] = "; ".join(request.forget)
        found[f"profile {place}"] = answerer.subject.digest
    return found


def _check(schedule: Schedule, asked: Work) -> None:
    there = {item.subject for suite in asked.suites for item in suite.of("forget")}
    for place, request in enumerate(schedule.requests, 1):
        if not there & set(request.forget):
            raise LetheError(
                f"request {place}: expected facts in the split '{asked.split}' about "
                f"{', '.join(request.forget)!s:.200}, found none; take another split, or all"
            )
