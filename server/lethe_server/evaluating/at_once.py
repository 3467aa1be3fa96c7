"""Work in several threads, each result as soon as it is there. Knows nothing of what it is."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(
    work: Callable[[T], R], items: Iterable[T], jobs: int
) -> Generator[tuple[T, R], None, None]:
    """Every item with its result, in no order; no more is begun than `jobs` at once.

    Closed early, it waits for what was begun.

    Raises:
        Exception: what `work` raised; what was done by then has been given.
    """
    waiting = iter(items)
    running: dict[Future[R], T] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            for item in islice(waiting, jobs - len(running)):
                running[pool.submit(work, item)] = item
            if not running:
                return
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=lambda one: one.exception() is not None):
                yield running.pop(future), future.result()
