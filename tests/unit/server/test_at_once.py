"""Streams are merged as they come and end together; so does other work."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from lethe_projections.errors import LetheError
from lethe_server.compare.at_once import merged, together


async def counting(name: str, until: int, closed: list[str]) -> AsyncGenerator[str, None]:
    try:
        for number in range(until):
            await asyncio.sleep(0)
            yield f"{name}{number}"
    finally:
        closed.append(name)


async def failing() -> AsyncGenerator[str, None]:
    yield "once"
    raise LetheError("no more")


def test_items_come_in_the_order_in_which_they_are_made() -> None:
    async def run() -> list[str]:
        return [item async for item in merged([counting("a", 3, []), counting("b", 3, [])])]

    assert asyncio.run(run()) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_stream_that_ends_or_says_nothing_leaves_the_others_alone() -> None:
    async def run() -> list[str]:
        streams = [counting("a", 1, []), counting("b", 0, []), counting("c", 4, [])]
        return [item async for item in merged(streams)]

    assert asyncio.run(run()) == ["a0", "c0", "c1", "c2", "c3"]


def test_closing_it_closes_every_stream() -> None:
    async def run() -> list[str]:
        closed: list[str] = []
        stream = merged([counting("a", 1000, closed), counting("b", 1000, closed)])
        assert await anext(stream) == "a0"
        assert not closed
        await stream.aclose()
        return closed

    assert sorted(asyncio.run(run())) == ["a", "b"]


def test_an_error_comes_after_what_the_others_have_to_say() -> None:
    async def run() -> list[str]:
        found = []
        with pytest.raises(LetheError, match="no more"):
            async for item in merged([failing(), counting("a", 3, [])]):
                found.append(item)
        return found

    assert asyncio.run(run()) == ["once", "a0", "a1", "a2"]


def test_work_done_together_has_its_results_in_order() -> None:
    async def late(value: int) -> int:
        await asyncio.sleep(0.01 * (3 - value))
        return value

    async def run() -> list[int]:
        return await together(*map(late, range(3)))

    assert asyncio.run(run()) == [0, 1, 2]


def test_work_that_fails_ends_the_rest_of_it() -> None:
    ended: list[bool] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LetheError("failed")

    async def run() -> None:
        await together(endless(), fail())

    with pytest.raises(LetheError, match="failed"):
        asyncio.run(run())
    assert ended == [True]
