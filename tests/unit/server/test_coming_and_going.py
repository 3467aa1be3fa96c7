"""Profiles and compositions that come and go at random while requests run, on a slow engine."""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
import pytest

from lethe_vllm.selection import current

from .fakes import Server, make

PROFILES = "/v1/unlearning/profiles"
NAMES = "abc"


@pytest.fixture
def server(server: Server) -> Server:
    for seed, name in enumerate(NAMES):
        server.serving.catalogue.put(name, make(seed))
    return server


class Busy:
    """An engine whose calls take effect in order, and answer when they like."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self.held, self.chance = server.engine.held, chance
        object.__setattr__(server.serving, "rpc", self.rpc)

    async def rpc(self, method: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        (self.held.add if method == "lethe_load" else self.held.discard)(args[0])
        await self.pause()
        return [{"digest": args[0], "error": 0.0}]

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(8)):
            await asyncio.sleep(self.chance.random() * 0.002)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_and_goes_a_request_gets_its_variant_or_an_error(  # noqa: C901
    server: Server, seed: int
) -> None:
    chance = random.Random(seed)
    engine = Busy(server, chance)
    server.serving.front_end.compositions.limit = 2
    statuses: Counter[int] = Counter()

    @server.app.post("/v1/completions")
    async def complete() -> dict[str, str]:
        variant = current.get()
        assert variant is not None
        for _ in range(3):
            assert variant.digest in engine.held, "a running request lost its variant"
            await engine.pause()
        return {"name": variant.name, "digest": variant.digest}

    async def one(client: httpx.AsyncClient) -> None:
        await engine.pause()
        names = chance.sample(NAMES, chance.randrange(1, 4))
        reply = await client.post("/v1/completions", json={"model": f"smollm2:{'+'.join(names)}"})
        statuses[reply.status_code] += 1
        if reply.status_code == 200:
            assert reply.json()["name"] == "+".join(sorted(names))
            named = reply.headers["x-unlearning-profile"]
            assert named == f"{reply.json()['name']}@{reply.json()['digest'][:12]}"

    async def change(client: httpx.AsyncClient) -> None:
        await engine.pause()
        url = f"{PROFILES}/{chance.choice('ab')}"
        if chance.random() < 0.3:
            await client.delete(url)
        else:
            await client.put(url, content=make(chance.randrange(20, 24)))

    async def use(client: httpx.AsyncClient) -> None:
        for _ in range(25):
            await asyncio.gather(*(one(client) for _ in range(6)), change(client))

    server.run(use)
    assert set(statuses) <= {200, 404, 503}
    assert statuses[200] > 25
    serving = server.serving
    needed = {d for d in engine.held if serving.front_end.needs(d)}
    assert engine.held == needed == serving.front_end.resident
    assert len(serving.front_end.compositions) <= 2
    assert set(serving.answered) <= needed
    assert not serving.uses._count
