"""The order of a run: try settings, choose, fit, report, attack, serve."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from benchmarks.evidence import attacking, choosing, measuring, pool, serving
from benchmarks.evidence.attacking import Try
from benchmarks.evidence.candidates import CONTROLS, GRID, Candidate, candidates
from benchmarks.evidence.measuring import NOTHING, Measured, Plan
from benchmarks.evidence.pool import Job
from benchmarks.evidence.serving import Served
from lethe_projections.errors import LetheError
from lethe_server.attacks.document import Attack

SUITE, OTHERS = "capitals", ("element_symbols", "books")
"""What settings are chosen by and everything is reported on; what the best is tried on too."""

LONGEST = ("grun", "mrp", "adaptive-rmu", "rmu", "lunar")
"""Methods that take minutes are begun first, so that no process waits long for the last."""

CLAIMED = "mrp"
"""The method whose paper claims that it withstands relearning: tried beside the best."""

Done = Iterator[tuple[Job, Any]]
Every = Callable[[Sequence[Job], int, Console], Done]
"""`pool.every`."""


@dataclass(frozen=True)
class Found:
    """All of it.

    Attributes:
        tried: on development subjects, methods in order.
        chosen: what was chosen of each method.
        reported: the controls and the chosen, on the others.
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
    """How it is computed, and what came to nothing so far."""

    def __init__(self, plan: Plan, processes: int, threads: int, console: Console) -> None:
        """Begins nothing.

        Args:
            plan: of one process among several.
            processes: how many.
            threads: of one that is alone.
            console: for messages.
        """
        self._plan, self._alone = plan, replace(plan, threads=threads)
        self._processes, self._console = processes, console
        self._refused: list[tuple[str, str]] = []

    def every(self, in_pool: Every = pool.every) -> Found:
        """All stages; what is in the work folder is not done again.

        Raises:
            LetheError: the base could not be asked, nothing was left to choose from, the best could
                not be reported on, or the server did not start.
        """
        tried = self._tried(in_pool)
        by_method = [[one for one in tried if one.candidate.method == name] for name in GRID]
        chosen = [choosing.chosen(some).candidate for some in by_method if some]
        best = choosing.chosen(tried).candidate
        self._fit(chosen, best, in_pool)
        reported, elsewhere, attacks = self._judged(chosen, best, in_pool)
        held_out = self._one(one for one in reported if one.candidate == best)
        self._say("served")
        return Found(
            tried=tried,
            chosen=chosen,
            reported=reported,
            best=held_out,
            elsewhere=elsewhere,
            attacks=attacks,
            served=[
                serving.served(self._alone, held_out, SUITE, dtype, self._console)
                for dtype in serving.DTYPES
            ],
            refused=self._refused,
        )

    def _tried(self, in_pool: Every) -> list[Measured]:
        """By settings; the base's answers on everything come first."""
        self._say("the base")
        first = [_job(measuring.develop, self._alone, NOTHING, SUITE)]
        self._one(one for _, one in self._done(in_pool(first, 1, self._console)))
        self._say("settings, on development subjects")
        jobs = [
            *(_job(measuring.report, self._plan, NOTHING, suite) for suite in (SUITE, *OTHERS)),
            *(
                _job(measuring.develop, self._plan, one, SUITE)
                for method in _longest_first(GRID)
                for one in candidates(method)
            ),
        ]
        done = list(self._done(in_pool(jobs, self._processes, self._console)))
        order = [one for method in GRID for one in candidates(method)]
        found = [one for job, one in done if job.run is measuring.develop]
        self._one(found[:1])
        return sorted(found, key=lambda one: order.index(one.candidate))

    def _fit(self, chosen: Sequence[Candidate], best: Candidate, in_pool: Every) -> None:
        """What several jobs need later, once; a refusal comes again there, and is told then."""
        self._say(f"fits on held-out subjects; the best is {best.label}")
        methods = _longest_first(one.method for one in chosen)
        ordered = sorted(chosen, key=lambda one: methods.index(one.method))
        jobs = [_job(measuring.fit, self._plan, one, SUITE) for one in ordered]
        jobs += [_job(measuring.fit, self._plan, best, suite) for suite in OTHERS]
        for _ in in_pool(jobs, self._processes, self._console):
            pass

    def _judged(
        self, chosen: Sequence[Candidate], best: Candidate, in_pool: Every
    ) -> tuple[list[Measured], list[Measured], list[Attack]]:
        self._say("evidence on held-out subjects, and attacks")
        order = [*(Candidate(name) for name in CONTROLS), *chosen]
        tries = [(what, best) for what in Try]
        tries += [(Try.RELEARNING, one) for one in chosen if one.method == CLAIMED and one != best]
        jobs = [
            *(
                Job(f"{what} of {one.label}", attacking.attack, (self._plan, one, SUITE, what))
                for what, one in sorted(tries, key=lambda pair: list(Try).index(pair[0]))
            ),
            *(_job(measuring.report, self._plan, best, suite) for suite in OTHERS),
            *(_job(measuring.report, self._plan, one, SUITE) for one in order),
        ]
        done = list(self._done(in_pool(jobs, self._processes, self._console)))
        measured = [(job.given[2], one) for job, one in done if isinstance(one, Measured)]
        reported = [one for suite, one in measured if suite == SUITE]
        return (
            sorted(reported, key=lambda one: order.index(one.candidate)),
            [one for suite in OTHERS for name, one in measured if name == suite],
            [one for _, one in done if isinstance(one, Attack)],
        )

    def _done(self, jobs: Done) -> Done:
        """Those that came to something; refusals are kept for the page."""
        for job, found in jobs:
            if isinstance(found, LetheError):
                self._refused.append((job.label, str(found)))
            else:
                yield job, found

    def _one(self, found: Iterable[Measured]) -> Measured:
        """Raises LetheError, with all refusals so far, where there is none."""
        for one in found:
            return one
        refused = "; ".join(f"{label}: {why}" for label, why in self._refused)
        raise LetheError(f"evidence: expected a profile to go on with, found none ({refused})")

    def _say(self, what: str) -> None:
        self._console.print(what, highlight=False)


def _job(run: Any, plan: Plan, candidate: Candidate, suite: str) -> Job:
    return Job(f"{run.__name__} {candidate.label} {suite}", run, (plan, candidate, suite))


def _longest_first(methods: Iterable[str]) -> list[str]:
    return sorted(methods, key=lambda name: LONGEST.index(name) if name in LONGEST else 99)
