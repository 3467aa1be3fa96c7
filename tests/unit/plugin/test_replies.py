"""A rank that fails leaves no reply of the others behind for the next call to find."""

from collections import deque
from typing import Any

import pytest

from lethe_vllm.errors import UnavailableError
from lethe_vllm.replies import checked, replying


class Rank:
    def __init__(self, number: int) -> None:
        self.number = number

    @replying
    def load(self, refused_by: tuple[int, ...]) -> dict[str, int]:
        """Loads."""
        if self.number in refused_by:
            raise UnavailableError(f"expected room, found none on {self.number}")
        return {"rank": self.number}

    @replying
    def crash(self) -> None:
        raise KeyError("slot")

    def raising(self) -> None:
        raise UnavailableError("no")


class Executor:
    """As vLLM's with several processes: it stops reading at the first rank that raised."""

    def __init__(self, ranks: int) -> None:
        self.ranks = [Rank(number) for number in range(ranks)]
        self.unread: list[deque[Any]] = [deque() for _ in self.ranks]

    def collective_rpc(self, method: str, *args: Any) -> list[Any]:
        for rank, queue in zip(self.ranks, self.unread, strict=True):
            try:
                queue.append(getattr(rank, method)(*args))
            except Exception as error:  # noqa: BLE001, as vLLM does
                queue.append(error)
        found = []
        for queue in self.unread:
            reply = queue.popleft()
            if isinstance(reply, Exception):
                raise RuntimeError(f"Worker failed with error '{reply}'")
            found.append(reply)
        return found


def test_a_call_after_a_refusal_gets_its_own_replies() -> None:
    executor = Executor(3)
    with pytest.raises(UnavailableError, match=r"^expected room, found none on 1 \(rank 1\)$"):
        checked(executor.collective_rpc("load", (1, 2)))
    assert checked(executor.collective_rpc("load", ())) == [{"rank": n} for n in range(3)]


def test_a_rank_that_raises_leaves_replies_unread() -> None:
    """What the module is for: without it, this is what vLLM does."""
    executor = Executor(3)
    with pytest.raises(RuntimeError, match="no"):
        executor.collective_rpc("raising")
    assert [len(queue) for queue in executor.unread] == [0, 1, 1]


def test_a_failure_that_is_not_ours_is_told_by_its_type() -> None:
    with pytest.raises(UnavailableError, match="KeyError: 'slot'"):
        checked(Executor(1).collective_rpc("crash"))


def test_a_method_keeps_its_name_and_documentation() -> None:
    assert (Rank.load.__name__, Rank.load.__doc__) == ("load", "Loads.")
