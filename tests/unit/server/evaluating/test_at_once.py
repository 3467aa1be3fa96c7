"""Work in threads: every result, no more than asked for at once, and what an error leaves."""

import threading
from concurrent.futures import wait
from typing import Any

import pytest

from lethe_server.evaluating import at_once
from lethe_server.evaluating.at_once import each


@pytest.mark.parametrize("jobs", [1, 3, 50])
def test_every_item_has_its_result(jobs: int) -> None:
    assert sorted(each(lambda n: n * n, range(20), jobs)) == [(n, n * n) for n in range(20)]
    assert list(each(str, [], jobs)) == []


def test_no_more_run_at_once_than_asked_for_and_so_many_do() -> None:
    together = threading.Barrier(3)
    assert len(list(each(lambda _: together.wait(60), range(9), 3))) == 9
    running = threading.Semaphore(3)

    def work(_: int) -> bool:
        free = running.acquire(blocking=False)
        running.release()
        return free

    assert all(free for _, free in each(work, range(30), 3))


def test_what_was_done_with_an_error_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of(running: Any, return_when: str) -> Any:
        return wait(running)

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    monkeypatch.setattr(at_once, "wait", all_of)
    told = []
    with pytest.raises(ValueError, match="three"):
        for one, _ in each(work, range(8), 8):
            told.append(one)
    assert sorted(told) == [0, 1, 2, 4, 5, 6, 7]


def test_an_error_comes_after_what_was_done_and_nothing_more_is_begun() -> None:
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 4:
            raise ValueError("four")
        return number

    told = []
    with pytest.raises(ValueError, match="four"):
        for one, _ in each(work, range(100), 1):
            told.append(one)
    assert told == [0, 1, 2, 3]
    assert begun == [0, 1, 2, 3, 4]
