"""200 clients on 20 variants, of which one gets another profile every second.

LETHE_SWAP_SECONDS says for how long.
"""

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import httpx
import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel

from .profiles import synthetic
from .server import HEADER, HEADERS, PROFILES, Server

SECONDS = float(os.environ.get("LETHE_SWAP_SECONDS", "20"))
CLIENTS = 200
NAMES = [f"swapped-{number}" for number in range(20)]
PROMPT = {"model": "smollm2", "prompt": "The lighthouse keeper"}
BODY = {**PROMPT, "temperature": 0, "max_tokens": 8, "return_token_ids": True}


@dataclass(frozen=True)
class Answer:
    """One response: when it was asked and answered, and by what."""

    name: str
    asked: float
    answered: float
    status: int
    served_by: str
    tokens: tuple[int, ...]


@dataclass
class Meanings:
    """What each name meant, and when it may have meant that: from a PUT to the next one's end."""

    spans: dict[str, list[tuple[str, float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def put(self, name: str, digest: str, sent: float, done: float) -> None:
        if self.spans[name]:
            before, since, _ = self.spans[name].pop()
            self.spans[name].append((before, since, done))
        self.spans[name].append((digest, sent, float("inf")))

    def held(self, answer: Answer) -> bool:
        return any(
            answer.served_by == f"{answer.name}@{digest[:12]}"
            and since <= answer.answered
            and until >= answer.asked
            for digest, since, until in self.spans[answer.name]
        )


async def ask(client: httpx.AsyncClient, name: str) -> Answer:
    asked = time.monotonic()
    reply = await client.post("/v1/completions", json=BODY, headers={HEADER: name})
    tokens = reply.json()["choices"][0]["token_ids"] if reply.status_code == 200 else ()
    served_by = reply.headers.get(HEADER, "")
    return Answer(name, asked, time.monotonic(), reply.status_code, served_by, tuple(tokens))


async def put(client: httpx.AsyncClient, name: str, data: bytes, meanings: Meanings) -> None:
    sent = time.monotonic()
    reply = await client.put(f"{PROFILES}/{name}", content=data)
    assert reply.status_code in (200, 201), reply.text
    meanings.put(name, reply.json()["digest"], sent, time.monotonic())


async def ask_until(
    client: httpx.AsyncClient, end: float, chance: random.Random, answers: list[Answer]
) -> None:
    while time.monotonic() < end:
        answers.append(await ask(client, chance.choice(NAMES)))


async def swap_until(
    client: httpx.AsyncClient, end: float, data: dict[str, tuple[bytes, bytes]], meanings: Meanings
) -> int:
    chance, swaps = random.Random(0), Counter[str]()
    while (began := time.monotonic()) < end:
        name = chance.choice(NAMES)
        swaps[name] += 1
        await put(client, name, data[name][swaps[name] % 2], meanings)
        await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))
    return swaps.total()


async def run(server: Server, data: dict[str, tuple[bytes, bytes]]) -> None:
    meanings, answers = Meanings(), list[Answer]()
    alone: dict[str, tuple[int, ...]] = {}
    # No connection is used again that the server, after 5 s, may just be closing.
    limits = httpx.Limits(max_connections=CLIENTS + 1, keepalive_expiry=1)
    async with httpx.AsyncClient(
        base_url=server.url, headers=HEADERS, timeout=300, limits=limits
    ) as client:
        for name, versions in data.items():
            for version in reversed(versions):
                await put(client, name, version, meanings)
                alone[artifact.digest(version)[:12]] = (await ask(client, name)).tokens
        assert len(set(alone.values())) > len(NAMES), "variants answer alike: this proves nothing"
        end = time.monotonic() + SECONDS
        asking = [ask_until(client, end, random.Random(n), answers) for n in range(CLIENTS)]
        swapping = asyncio.create_task(swap_until(client, end, data, meanings))
        await asyncio.gather(*asking)
        swaps = await swapping
        for name in data:
            await client.delete(f"{PROFILES}/{name}")
    served = {answer.served_by for answer in answers}
    print(f"{len(answers)} answers, {swaps} swaps, {len(served)} digests served, {SECONDS:.0f} s")
    assert Counter(answer.status for answer in answers) == {200: len(answers)}
    assert [answer for answer in answers if not meanings.held(answer)] == []
    assert [a for a in answers if a.tokens != alone[a.served_by.partition("@")[2]]] == []
    assert swaps >= SECONDS / 3
    assert len(answers) > CLIENTS
    assert len(served) > len(NAMES), "no swapped profile served: this proves nothing"


@pytest.mark.timeout(SECONDS + 300)
def test_every_answer_is_of_a_digest_that_its_name_had_meanwhile(
    server: Server, base: BaseModel
) -> None:
    data = {
        name: (synthetic(base, 100 + place), synthetic(base, 200 + place))
        for place, name in enumerate(NAMES)
    }
    asyncio.run(run(server, data))
