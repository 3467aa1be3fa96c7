"""Attacks on a candidate's profile, as `lethe attack` runs them, kept in the work folder."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from benchmarks.evidence import measuring
from benchmarks.evidence.candidates import Candidate
from benchmarks.evidence.fitting import Made
from benchmarks.evidence.measuring import Plan
from lethe_projections.evaluation.suite import Item
from lethe_server.attacks import document, probing, quantisation, relearning, requests, result
from lethe_server.attacks.document import Attack, Kind
from lethe_server.attacks.schedule import Request, Schedule
from lethe_server.evaluating.split import Split

REQUESTS = 4
"""Requests one after the other; each adds a like share of the subjects."""

TEXTS = 200
"""That probes are fitted on."""


def attack(plan: Plan, candidate: Candidate, suite: str, kind: Kind) -> Attack:
    """The document, from the folder if it was tried before.

    Raises:
        LetheError: the method refuses the task, or there is too little to ask.
    """
    items = measuring.forgotten(suite, Split.HELD_OUT)
    made = measuring.profile(plan, candidate, suite, items)
    folder = plan.work / "attacks"
    file = folder / document.file_name(made.digest, kind)
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        result.write(_attack(plan, candidate, suite, (kind, made)), folder)
    return document.parse(file.read_bytes())


def _attack(plan: Plan, candidate: Candidate, suite: str, what: tuple[Kind, Made]) -> Attack:
    kind, made = what
    if kind is Kind.REQUESTS:
        return _requests(plan, candidate, suite)
    asked, within = measuring.asked(suite), measuring.answerer(plan, made.path)
    loaded = measuring.checkpoint(plan.threads)
    if kind is Kind.RELEARNING:
        return relearning.attack(within, loaded.model, asked, relearning.Settings(), shown=False)
    if kind is Kind.QUANTISATION:
        settings = quantisation.Settings()
        return quantisation.attack(within, loaded.model, asked, settings, shown=False)
    read = [line for line in measuring.parts(suite).fit if line.text or line.answer]
    asked = replace(asked, texts=tuple(read[:TEXTS]))
    return probing.attack(within, loaded, asked, probing.Settings(), shown=False)


def _requests(plan: Plan, candidate: Candidate, suite: str) -> Attack:
    """Each profile is fitted anew on everything so far."""
    items = measuring.forgotten(suite, Split.HELD_OUT)
    parts = steps(items)
    files = [
        measuring.profile(plan, candidate, suite, items[: place + len(step)]).path
        for place, step in parts
    ]
    schedule = Schedule(
        requests=[
            Request(profile=str(file), forget=[item.subject for item in step])
            for file, (_, step) in zip(files, parts, strict=True)
        ]
    )
    asked = replace(measuring.asked(suite), texts=measuring.parts(suite).reported)
    asking = [measuring.answerer(plan, Path(one.profile)) for one in schedule.requests]
    place = plan.work / "requests" / suite
    measuring.share_base(plan, suite, place)
    folder = requests.opened(place, asking[0], measuring.MAX_TOKENS)
    return requests.attack(schedule, asking, asked, folder, shown=False)


def steps(items: tuple[Item, ...]) -> list[tuple[int, tuple[Item, ...]]]:
    """Where each request begins, and what it adds."""
    bounds = [len(items) * step // REQUESTS for step in range(REQUESTS + 1)]
    return [(low, items[low:high]) for low, high in pairwise(bounds)]
