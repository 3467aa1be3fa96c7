"""Rounds of the same load, with and without a profile that is replaced meanwhile.

A replacement is a PUT on one replica; the next request to the other has to be served by what was
put, and to be answered as it was when nothing else ran.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from benchmarks.replicas import running
from benchmarks.serving.spread import Spread
from lethe_projections import artifact, embedded
from lethe_projections.base_model import BaseModel
from tests.http.profiles import synthetic

NAME = "live"
HEADER = "X-Unlearning-Profile"
PROMPT = "The lighthouse keeper"
EVERY_S = 1.0
VERSIONS = 4


class WrongAnswerError(Exception):
    """A replica failed, or served something else than what was put; the message says what."""


@dataclass(frozen=True)
class Replicas:
    """Both, and what each version of the profile answers.

    Attributes:
        clients: one a replica.
        versions: artifacts.
        alone: the tokens that each version answers with, by its digest's first 12 digits.
    """

    clients: Sequence[httpx.Client]
    versions: Sequence[bytes]
    alone: dict[str, list[int]]


def measure(urls: Sequence[str], folder: Path, rounds: int, requests: int) -> dict[str, Any]:
    """Throughput over both replicas with and without replacements, and how many there were.

    Raises:
        WrongAnswerError: a request failed, or was not served by what its name meant.
    """
    checkpoint = str(embedded.prepare())
    base = BaseModel.from_checkpoint(checkpoint)
    clients = [httpx.Client(base_url=url, timeout=120) for url in urls]
    both = Replicas(clients, [synthetic(base, seed) for seed in range(1, VERSIONS + 1)], {})
    _learn(both)
    turns = count()
    order = random.Random(0)  # noqa: S311
    tokens: dict[bool, list[float]] = {False: [], True: []}
    swaps, served = 0, 0
    for number in range(rounds + 1):
        for swapping in order.sample((False, True), 2):
            load = running.load(urls, NAME, checkpoint, folder, requests)
            made = 0
            while not running.ended(load, EVERY_S):
                if swapping:
                    _swap(both, next(turns))
                    made += 1
            found = [_result(folder, place, requests) for place in range(len(urls))]
            served += requests * len(urls) + made
            swaps += made
            if number:  # the first is to warm up
                tokens[swapping].append(sum(one["output_throughput"] for one in found))
    return {
        "replicas": len(urls), "rounds": rounds, "swaps": swaps, "requests": served,
        "tokens_per_second": vars(Spread.of(tokens[False])),
        "ratio": vars(Spread.of([a / b for b, a in zip(*tokens.values(), strict=True)])),
    }  # fmt: skip


def _learn(both: Replicas) -> None:
    """Notes what each version answers on each replica, when nothing else runs."""
    for data in both.versions:
        digest = _put(both.clients[0], data)
        found = [_ask(client, digest) for client in both.clients]
        expect("answers of both replicas", found[0], found[-1])
        both.alone[digest] = found[0]
    if len({tuple(one) for one in both.alone.values()}) < VERSIONS:
        raise WrongAnswerError("versions answer alike: nothing would be proven; take other seeds")


def _swap(both: Replicas, turn: int) -> None:
    """Puts another version on one replica, and asks the other ones at once."""
    place = turn % len(both.clients)
    digest = _put(both.clients[place], both.versions[turn % len(both.versions)])
    for other in _others(both.clients, place):
        expect(f"answer of {digest}", both.alone[digest], _ask(other, digest))


def _others(clients: Sequence[httpx.Client], place: int) -> Iterator[httpx.Client]:
    return (client for number, client in enumerate(clients) if number != place)


def _put(client: httpx.Client, data: bytes) -> str:
    reply = client.put(f"/v1/unlearning/profiles/{NAME}", content=data)
    if reply.status_code not in (200, 201):
        raise WrongAnswerError(f"PUT: expected 200 or 201, found {reply.status_code} {reply.text}")
    return artifact.digest(data)[:12]


def _ask(client: httpx.Client, digest: str) -> list[int]:
    body = {
        "model": "smollm2", "prompt": PROMPT, "temperature": 0, "max_tokens": 8,
        "return_token_ids": True,
    }  # fmt: skip
    reply = client.post("/v1/completions", json=body, headers={HEADER: NAME})
    expect("status", 200, reply.status_code)
    expect("profile", f"{NAME}@{digest}", reply.headers.get(HEADER))
    tokens: list[int] = reply.json()["choices"][0]["token_ids"]
    return tokens


def _result(folder: Path, place: int, requests: int) -> dict[str, Any]:
    file = folder / f"{place}.json"
    if not file.exists():
        log = (folder / f"{place}.log").read_text()[-2000:]
        raise WrongAnswerError(f"vllm bench serve: expected a result, found none:\n{log}")
    found: dict[str, Any] = json.loads(file.read_text())
    file.unlink()
    expect("completed and failed requests", (requests, 0), (found["completed"], found["failed"]))
    return found


def expect(what: str, expected: object, found: object) -> None:
    """Raises WrongAnswerError where two things differ."""
    if found != expected:
        raise WrongAnswerError(f"{what}: expected {expected!r}, found {found!r}")
