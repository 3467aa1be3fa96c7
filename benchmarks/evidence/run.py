"""The order of a run: try settings, choose, report, attack, serve."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from benchmarks.evidence import attacking, choosing, measuring, pool, serving
from benchmarks.evidence.candidates import CONTROLS, GRID, Candidate, candidates
from benchmarks.evidence.measuring import NOTHING, Measured, Plan
from benchmarks.evidence.pool import Job
from benchmarks.evidence.serving import Served
from lethe_projections.errors import LetheError
from lethe_server.attacks.document import Attack, Kind

SUITE, OTHERS = "capitals", ("element_symbols", "books")
"""What settings are chosen by and everything is reported on; what the best is tried on too."""

LONGEST = ("grun", "mrp", "adaptive-rmu", "rmu", "lunar")
"""Methods that take minutes are begun first, so that no process waits long for the last."""

CLAIMED = "mrp"
"""The method whose paper claims that it withstands relearning: tried beside the best."""

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """All of it.

    Attributes:
        tried: on development subjects, methods in order.
        chosen: what was chosen of each method.
        reported: the chosen and the controls, on the others.
        best: of `reported`, that of the method of least loss in development.
        elsewhere: the best's settings, on the other suites.
        attacks: on the best; relearning on `CLAIMED` too.
        served: the best through a server, by number format.
        refused: a job's label, and why it came to nothing.
    """

    tried: list[Measured]
    chosen: list[Candidate]
    reported: list[Measured]
    best: Measured
    elsewhere: list[Measured]
    attacks: list[Attack]
    served: list[Served]
    refused: list[tuple[str, str]]


class Run:
    """A work folder, and how many processes."""

    def __init__(self, work: Path, processes: int, threads: int, console: Console) -> None:
        self._plan = Plan(work)
        self._processes, self._console = processes, console
        self._all = Plan(work, threads)
        self._refused: list[tuple[str, str]] = []

    def every(self) -> Found:
        """All stages; what is in the work folder is not done again.

        Raises:
            LetheError: nothing was left to choose from, or the server did not start.
        """
        tried = self._tried()
        by_method = {name: [one for one in tried if one.candidate.method == name] for name in GRID}
        chosen = [choosing.chosen(some) for some in by_method.values() if some]
        best = choosing.chosen(chosen).candidate
        reported, elsewhere, attacks = self._judged([one.candidate for one in chosen], best)
        [held_out] = [one for one in reported if one.candidate == best]
        self._say("served")
        served = [
            serving.served(self._all, held_out, SUITE, dtype, self._console)
            for dtype in serving.DTYPES
        ]
        return Found(
            tried=tried,
            chosen=[one.candidate for one in chosen],
            reported=reported,
            best=held_out,
            elsewhere=elsewhere,
            attacks=attacks,
            served=served,
            refused=self._refused,
        )

    def _tried(self) -> list[Measured]:
        self._say("the base")
        list(self._done([_job(measuring.develop, self._all, NOTHING, SUITE)], 1))
        self._say("settings, on development subjects")
        every = [one for method in _longest_first(GRID) for one in candidates(method)]
        jobs = [
            *(_job(measuring.report, self._plan, NOTHING, suite) for suite in (SUITE, *OTHERS)),
            *(_job(measuring.develop, self._plan, one, SUITE) for one in every),
        ]
        found = [one for job, one in self._done(jobs) if job.run is measuring.develop]
        order = [one for method in GRID for one in candidates(method)]
        return sorted(found, key=lambda one: order.index(one.candidate))

    def _judged(
        self, chosen: Sequence[Candidate], best: Candidate
    ) -> tuple[list[Measured], list[Measured], list[Attack]]:
        self._say(f"the chosen, on held-out subjects; attacks on {best.label}")
        [claimed] = [one for one in chosen if one.method == CLAIMED]
        attacks = [(kind, best) for kind in Kind]
        attacks += [(Kind.RELEARNING, claimed)] if claimed != best else []
        controls = [Candidate(name) for name in CONTROLS]
        slow = {method: place for place, method in enumerate(LONGEST)}
        jobs = [
            *(_job(measuring.report, self._plan, best, suite) for suite in (SUITE, *OTHERS)),
            *(
                Job(f"{kind} of {one.label}", attacking.attack, (self._plan, one, SUITE, kind))
                for kind, one in attacks
            ),
            *(
                _job(measuring.report, self._plan, one, SUITE)
                for one in sorted(chosen, key=lambda one: slow.get(one.method, len(slow)))
                if one != best
            ),
            *(_job(measuring.report, self._plan, one, SUITE) for one in controls),
        ]
        done = list(self._done(jobs))
        measured = [(job.given[2], one) for job, one in done if isinstance(one, Measured)]
        order = [*controls, *chosen]
        return (
            sorted(
                (one for suite, one in measured if suite == SUITE),
                key=lambda one: order.index(one.candidate),
            ),
            [one for suite in OTHERS for name, one in measured if name == suite],
            [one for _, one in done if isinstance(one, Attack)],
        )

    def _done(self, jobs: Sequence[Job], processes: int = 0) -> Iterator[tuple[Job, Any]]:
        """Those that came to something; refusals are kept for the page."""
        for job, found in pool.every(jobs, processes or self._processes, self._console):
            if isinstance(found, LetheError):
                self._refused.append((job.label, str(found)))
            else:
                yield job, found

    def _say(self, what: str) -> None:
        self._console.print(what, highlight=False)


def _job(run: Any, plan: Plan, candidate: Candidate, suite: str) -> Job:
    return Job(f"{run.__name__} {candidate.label} {suite}", run, (plan, candidate, suite))


def _longest_first(methods: Any) -> list[str]:
    rest = [method for method in methods if method not in LONGEST]
    return [*LONGEST, *rest]
