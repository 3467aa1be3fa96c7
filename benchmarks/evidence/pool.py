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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from lethe_projections.errors import LetheError

COLUMNS = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining())
"""Of the bar on a terminal; elsewhere there are only the lines."""


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
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context, _end_with, (os.getpid(),)) as pool,
        Progress(*COLUMNS, console=console, transient=True) as bar,
    ):
        task = bar.add_task("", total=len(jobs))
        running: dict[Future[Any], Job] = {pool.submit(run, job): job for job in jobs}
        for future in as_completed(running):
            job, found = running[future], _result(future, pool)
            bar.advance(task)
            console.print(_said(bar.tasks[task], job, found), highlight=False, soft_wrap=True)
            yield job, found


def _result(future: Future[Any], pool: ProcessPoolExecutor) -> Any | LetheError:
    """Raises what a job raised that is no refusal, without beginning any other."""
    try:
        return future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _said(task: Task, job: Job, found: Any | LetheError) -> str:
    """A line: how far it is, how long it took and will take, and what came to an end."""
    took = task.elapsed or 0.0
    left = took / task.completed * task.remaining if task.remaining else 0.0
    ended = str(found) if isinstance(found, LetheError) else "done"
    return (
        f"  {task.completed:.0f}/{task.total:.0f}, {took:.0f} s, about {left:.0f} s left  "
        f"{job.label}: {ended}"
    )


def _end_with(parent: int) -> None:
    """A worker does not go on alone once the command was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run(job: Job) -> Any | LetheError:
    """A refusal is a result of its own."""
    try:
        return job.run(*job.given)
    except LetheError as error:
        return error
