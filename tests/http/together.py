"""Many questions at once: a server answers a batch in little more time than one of it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")

AT_ONCE = 16


def together(calls: Mapping[K, Callable[[], T]], at_once: int = AT_ONCE) -> dict[K, T]:
    """What each call returns; the first that raises is raised."""
    with ThreadPoolExecutor(at_once) as pool:
        running = {key: pool.submit(call) for key, call in calls.items()}
        return {key: found.result() for key, found in running.items()}
