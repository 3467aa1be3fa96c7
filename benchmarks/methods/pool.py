"""Fits and measures in several processes, one model in each. Knows nothing of tables.

Several fits with one thread each finish sooner than one after the other with several.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks.methods import facts, forms, retain
from benchmarks.methods.cases import Fit
from benchmarks.methods.fitting import Fitted, fitted
from benchmarks.methods.measuring import Measurer, Shelf
from lethe_projections.errors import LetheError
from lethe_projections.examples import Example
from lethe_server.fitting import Checkpoint

MODEL = "embedded"


@dataclass(frozen=True)
class Plan:
    """What a run measures, in values that travel to another process.

    Attributes:
        work: the work folder.
        split, per_relation: which facts, see `facts.of_split`.
        texts: how many held-out texts at most; None for all.
        answered: see `measuring.Shelf`.
        threads: of each process.
    """

    work: Path
    split: str
    per_relation: int | None = None
    texts: int | None = None
    answered: str = "transformers"
    threads: int = 1

    def facts(self) -> list[facts.Fact]:
        """Those evaluated, in the order in which scenarios take them."""
        return facts.of_split(facts.load(), self.split, self.per_relation)

    def items(self) -> tuple[forms.Item, ...]:
        """Every item of those facts."""
        return tuple(item for fact in self.facts() for item in forms.items(fact))

    def held_out(self) -> tuple[Example, ...]:
        """Texts for KL."""
        return retain.parted(facts.load()).held_out[: self.texts]

    def shelf(self, fingerprint: str) -> Shelf:
        """Where the measurements of that base model are."""
        return Shelf(self.work / fingerprint[:16], self.answered)


@cache
def _measurer(plan: Plan) -> Measurer:
    torch.set_num_threads(plan.threads)
    checkpoint = Checkpoint.load(MODEL, "cpu")
    shelf = plan.shelf(checkpoint.base.fingerprint)
    return Measurer(checkpoint, shelf, plan.items(), plan.held_out())


def measure_base(plan: Plan) -> str:
    """Measures the base; returns its fingerprint."""
    measurer = _measurer(plan)
    measurer.base()
    return str(measurer.checkpoint.base.fingerprint)


def fit_and_measure(plan: Plan, fit: Fit) -> Fitted | LetheError:
    """Fits and measures a variant; a refusal is a result of its own."""
    measurer = _measurer(plan)
    try:
        found = fitted(fit, plan.work, measurer.checkpoint)
    except LetheError as error:
        return error
    measurer.variant(found.profile, found.digest)
    return found


def every(plan: Plan, fits: Iterable[Fit], jobs: int) -> Iterator[tuple[Fit, Fitted | LetheError]]:
    """Fits and measures all, those that go on from another after it, the longest chains first.

    Yields:
        Each fit with its profile, or with the error by which its method refused it.
    """
    waiting = in_order(fits)
    if jobs == 1:
        yield from ((fit, fit_and_measure(plan, fit)) for fit in waiting)
        return
    running: dict[Future[Fitted | LetheError], Fit] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        while waiting or running:
            for fit in ready(waiting, running.values())[: jobs - len(running)]:
                waiting.remove(fit)
                running[pool.submit(fit_and_measure, plan, fit)] = fit
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()


def in_order(fits: Iterable[Fit]) -> list[Fit]:
    """Each once, after the one it goes on from, and those first on which most others wait."""
    chosen = list(dict.fromkeys(fits))
    behind = dict.fromkeys(chosen, 0)
    for fit in chosen:
        before = fit.before
        while before in behind:
            behind[before] += 1
            before = before.before
    return sorted(chosen, key=lambda fit: -behind[fit])


def ready(waiting: Sequence[Fit], running: Iterable[Fit]) -> list[Fit]:
    """Those whose predecessor is done."""
    undone = {*waiting, *running}
    return [fit for fit in waiting if fit.before not in undone]
