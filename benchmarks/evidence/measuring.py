"""Makes a candidate's profile and measures it as `lethe eval --offline` does, in this process.

Everything goes into the work folder and is asked once. The base's answers are those beside the
control that does nothing: it is measured before any other profile.
"""

import shutil
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from benchmarks.evidence import fitting, texts
from benchmarks.evidence.candidates import Candidate
from benchmarks.evidence.fitting import Made
from benchmarks.methods.facts import ALWAYS_DEVELOPMENT
from lethe_projections.evaluation import suite_file
from lethe_projections.evaluation.suite import Item, Suite
from lethe_projections.examples import Example
from lethe_server.evaluating import command, running, summing_up
from lethe_server.evaluating.evidence import Evidence
from lethe_server.evaluating.folder import BASE, Folder
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.split import Split
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint

MODEL, BATCH, MAX_TOKENS = "embedded", 32, 24
DEVELOPMENT_FORMS = (
    "question", "cloze", "reverse_question", "reverse_cloze", "spelling", "ranking", "hint",
    "prefix",
)  # fmt: skip
NOTHING = Candidate("nothing")
DEVELOPMENT, REPORTED = "development", "reported"
"""Folders of answers about one split."""


@dataclass(frozen=True)
class Plan:
    """How a run computes.

    Attributes:
        work: folder of answers: of one base model, by one code.
        profiles: folder of artifacts, each kept under what it was made from.
        threads: of this process.
    """

    work: Path
    profiles: Path
    threads: int = 1


@dataclass(frozen=True)
class Measured:
    """A profile and its evidence."""

    candidate: Candidate
    made: Made
    evidence: Evidence


@cache
def checkpoint(threads: int) -> Checkpoint:
    """The base model, loaded once a process."""
    torch.set_num_threads(threads)
    return Checkpoint.load(MODEL, "cpu")


@cache
def parts(suite: str) -> texts.Texts:
    """The retain text for a suite's profiles."""
    return texts.parted(suite_file.packaged(suite))


def half(suite: str, split: Split) -> Suite:
    """One split of a packaged suite; what earlier settings were chosen by is not reported on."""
    found = suite_file.packaged(suite).half(split)
    if split is Split.DEVELOPMENT:
        return found
    kept = (item for item in found.items if item.subject not in ALWAYS_DEVELOPMENT)
    return replace(found, items=tuple(kept))


def forgotten(suite: str) -> tuple[Item, ...]:
    """What a profile that is reported on is to forget."""
    return half(suite, Split.HELD_OUT).of("forget")


def asked(suite: str, read: tuple[Example, ...] = ()) -> Work:
    """What is reported on, in all forms."""
    return Work((half(suite, Split.HELD_OUT),), Split.HELD_OUT, texts=read)


def profile(plan: Plan, candidate: Candidate, suite: str, items: tuple[Item, ...]) -> Made:
    """Raises LetheError: the method refuses the task."""
    fit = parts(suite).fit
    return fitting.made(candidate, items, fit, checkpoint(plan.threads), plan.profiles)


def fit(plan: Plan, candidate: Candidate, suite: str) -> Made:
    """The profile that is reported on.

    Raises:
        LetheError: the method refuses the task.
    """
    return profile(plan, candidate, suite, forgotten(suite))


def develop(plan: Plan, candidate: Candidate, suite: str) -> Measured:
    """On the subjects that settings are chosen by, in some forms.

    Raises:
        LetheError: the method refuses the task.
    """
    found = half(suite, Split.DEVELOPMENT)
    kept = replace(found, items=found.of("forget", "neighbour", "unrelated"))
    asked = Work(
        (kept,), Split.DEVELOPMENT, texts=parts(suite).development, forms=DEVELOPMENT_FORMS
    )
    return _measured(plan, candidate, asked, DEVELOPMENT)


def report(plan: Plan, candidate: Candidate, suite: str) -> Measured:
    """On the other subjects, in all forms.

    Raises:
        LetheError: the method refuses the task.
    """
    return _measured(plan, candidate, asked(suite, parts(suite).reported), REPORTED)


def answerer(plan: Plan, file: Path, batch: int = BATCH) -> InProcess:
    """Of a profile."""
    return InProcess(checkpoint(plan.threads), file, MAX_TOKENS, batch)


def share_base(plan: Plan, suite: str, place: Path, name: str = REPORTED) -> None:
    """Copies the base's answers into a folder, so that several processes may write at once."""
    base = plan.work / name / suite / NOTHING.method / BASE
    place.mkdir(parents=True, exist_ok=True)
    if base.exists() and not (place / BASE).exists():
        shutil.copyfile(base, place / BASE)


def _measured(plan: Plan, candidate: Candidate, asked: Work, name: str) -> Measured:
    [suite] = asked.suites
    made = profile(plan, candidate, suite.name, suite.of("forget"))
    within = answerer(plan, made.path)
    own = NOTHING.method if candidate == NOTHING else made.digest
    place = plan.work / name / suite.name / own
    if candidate != NOTHING:
        share_base(plan, suite.name, place, name)
    folder = Folder(place, command.in_common(within.subject, MAX_TOKENS))
    with folder.alone():
        running.run(within, asked, folder, shown=False)
        found = summing_up.evidence(within.subject, asked, folder, MAX_TOKENS)
        folder.write(found)
    return Measured(candidate, made, found)
