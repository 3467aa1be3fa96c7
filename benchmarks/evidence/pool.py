"""Runs jobs in several processes, and says how far it is. Knows nothing of what they do."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from rich.console import Console

from lethe_projections.errors import LetheError


@dataclass(frozen=True)
class Job:
    """A function that another process can import, and its arguments.

    Attributes:
        label: for progress messages.
        run: called with `given`.
        given: its arguments.
    """

    label: str
    run: Callable[..., Any]
    given: tuple[Any, ...]


def every(
    jobs: Sequence[Job], processes: int, console: Console
) -> Iterator[tuple[Job, Any | LetheError]]:
    """Each job with what it returned, or with the LetheError that it raised, as they end."""
    started = time.monotonic()
    with ProcessPoolExecutor(processes, get_context("spawn"), _end_with, (os.getpid(),)) as pool:
        running: dict[Future[Any], Job] = {pool.submit(_run, job): job for job in jobs}
        for done, future in enumerate(as_completed(running), 1):
            job, found = running[future], future.result()
            took = time.monotonic() - started
            left = took / done * (len(jobs) - done)
            told = str(found) if isinstance(found, LetheError) else "done"
            console.print(
                f"  {done}/{len(jobs)}, {took:.0f} s, about {left:.0f} s left  {job.label}: {told}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
            yield job, found


def _end_with(parent: int) -> None:
    """A worker does not go on alone once the command was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(job: Job) -> Any | LetheError:
    """A refusal is a result of its own."""
    try:
        return job.run(*job.given)
    except LetheError as error:
        return error
