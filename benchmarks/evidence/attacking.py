"""Attacks on a candidate's profile, as `lethe attack` runs them, kept in the work folder."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from benchmarks.evidence import measuring
from benchmarks.evidence.candidates import Candidate
from benchmarks.evidence.measuring import MAX_TOKENS, Plan
from lethe_projections import artifact
from lethe_projections.compose import compose
from lethe_projections.evaluation.suite import Item
from lethe_server.attacks import document, probing, quantisation, relearning, requests
from lethe_server.attacks.document import Attack
from lethe_server.attacks.schedule import Request, Schedule

REQUESTS = 4
"""Requests one after the other; each adds a like share of the subjects."""

TEXTS = 200
"""That probes are fitted on, less those that name what should be forgotten."""


class Try(StrEnum):
    """What is tried."""

    RELEARNING = "relearning"
    QUANTISATION = "quantisation"
    REFITTED = "requests, each fitted anew with all before it"
    COMPOSED = "requests, each fitted alone and composed with those before it"
    PROBING = "probing"


def attack(plan: Plan, candidate: Candidate, suite: str, what: Try) -> Attack:
    """The document, from the folder if it was tried before.

    Raises:
        LetheError: the method refuses the task, or there is too little to ask.
    """
    digest = measuring.fit(plan, candidate, suite).digest
    file = plan.work / "attacks" / suite / f"{digest}.{what.name.lower()}.json"
    if not file.exists():
        found = _attack(plan, candidate, suite, what)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(document.to_bytes(found))
    return document.parse(file.read_bytes())


def _attack(plan: Plan, candidate: Candidate, suite: str, what: Try) -> Attack:
    if what in (Try.REFITTED, Try.COMPOSED):
        return _requests(plan, candidate, suite, what)
    made, asked = measuring.fit(plan, candidate, suite), measuring.asked(suite)
    within, loaded = measuring.answerer(plan, made.path), measuring.checkpoint(plan.threads)
    if what is Try.RELEARNING:
        return relearning.attack(within, loaded.model, asked, relearning.Settings(), shown=False)
    if what is Try.QUANTISATION:
        settings = quantisation.Settings()
        return quantisation.attack(within, loaded.model, asked, settings, shown=False)
    read = [line for line in measuring.parts(suite).fit if line.text or line.answer]
    asked = replace(asked, texts=tuple(read[:TEXTS]))
    return probing.attack(within, loaded, asked, probing.Settings(), shown=False)


def _requests(plan: Plan, candidate: Candidate, suite: str, what: Try) -> Attack:
    parts = steps(measuring.forgotten(suite))
    files = (_composed if what is Try.COMPOSED else _refitted)(plan, candidate, suite, parts)
    schedule = Schedule(
        requests=[
            Request(profile=str(file), forget=[item.subject for item in part])
            for file, part in zip(files, parts, strict=True)
        ]
    )
    asking = [measuring.answerer(plan, file) for file in files]
    place = plan.work / "requests" / suite / what.name.lower()
    measuring.share_base(plan, suite, place)
    folder = requests.opened(place, asking[0], MAX_TOKENS)
    asked = measuring.asked(suite, measuring.parts(suite).reported)
    found = requests.attack(schedule, asking, asked, folder, shown=False)
    return found.model_copy(update={"settings": {"profiles": what.value, **found.settings}})


def _refitted(
    plan: Plan, candidate: Candidate, suite: str, parts: Sequence[tuple[Item, ...]]
) -> list[Path]:
    so_far = [tuple(item for part in parts[:end] for item in part) for end in _ends(parts)]
    return [measuring.profile(plan, candidate, suite, items).path for items in so_far]


def _composed(
    plan: Plan, candidate: Candidate, suite: str, parts: Sequence[tuple[Item, ...]]
) -> list[Path]:
    single = [measuring.profile(plan, candidate, suite, part).path for part in parts]
    files = []
    for end in _ends(parts):
        profile = compose([artifact.read(file) for file in single[:end]])
        files.append(plan.profiles / f"{candidate.method}-composed-{end}.safetensors")
        artifact.write(profile, files[-1])
    return files


def _ends(parts: Sequence[object]) -> range:
    return range(1, len(parts) + 1)


def steps(items: tuple[Item, ...]) -> list[tuple[Item, ...]]:
    """What each request adds."""
    bounds = [len(items) * step // REQUESTS for step in range(REQUESTS + 1)]
    return [items[low:high] for low, high in pairwise(bounds)]
