"""What Lethe's HTTP layer adds to a request: policy, selection, log, metrics, audit; no engine.

    python -m benchmarks.http_layer

Calls one trivial application alone and behind the whole stack in turn, with a policy of 100 keys,
the store in a file, the log as JSON and every request in the audit, and prints the times per
request in microseconds.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server.entry import LetheEndpoints
from lethe_server.health import Health
from lethe_server.metrics import Metrics
from lethe_server.policy import keys
from lethe_server.policy.following import PolicyFile
from lethe_server.serving import Serving
from lethe_server.settings import Settings
from lethe_server.watching import watching
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.frontend import FrontEnd

ROUNDS, WARM_UP = 5000, 500
PATH = "/v1/chat/completions"
SITE = Site(1, "block")
MESSAGE = {"role": "user", "content": "What is the capital of France? " * 30}
"""1 KB."""

OPEN, RESTRICTED = (keys.generate() for _ in range(2))
OTHERS = 98
"""Keys of the policy that are not used."""

CASES: dict[str, tuple[str, str, str]] = {
    "base": (OPEN, "m", ""),
    "profile by header": (OPEN, "m", "france"),
    "profile by model": (OPEN, "m:france", ""),
    "two profiles": (OPEN, "m", "france+japan"),
    "restricted key, its default": (RESTRICTED, "m", ""),
}
"""A request's key, `model`, and profile in the header."""


def application() -> FastAPI:
    app = FastAPI()

    @app.post(PATH)
    async def chat(request: Request) -> dict[str, str]:
        await request.body()
        return {"text": "Paris"}

    return app


def policy(folder: Path) -> PolicyFile:
    """A key that may use everything, one that may use a profile, and many others."""
    everything = 'profiles: "*", base: true, adapters: "*"'
    callers = [("open", OPEN, everything), ("restricted", RESTRICTED, "profiles: [france]")]
    callers += [(f"key-{number}", keys.generate(), "base: true") for number in range(OTHERS)]
    lines = [f"  - {{name: {n}, sha256: {keys.hashed(key)}, {may}}}" for n, key, may in callers]
    file = folder / "policy.yaml"
    file.write_text("\n".join(["version: 1", "keys:", *lines]))
    return PolicyFile(file)


def with_lethe(folder: Path) -> FastAPI:
    """The application behind everything, before an engine that takes every profile."""
    base = BaseModel("LlamaForCausalLM", 8, 4, 16, 32, "ab" * 32)
    front_end = FrontEnd(Catalogue(folder / "profiles", base))
    front_end.reached = True
    for seed, name in enumerate(("france", "japan")):
        factors = torch.randn(2, 2, 8, generator=torch.Generator().manual_seed(seed))
        profile = Profile(base, (Projector(SITE, factors[0], factors[1]),), "synthetic")
        front_end.catalogue.put(name, artifact.to_bytes(profile))

    async def rpc(method: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        return [{"digest": args[0]}]

    async def everyone(method: str, *args: Any) -> list[list[Any]]:
        return [[{"rank": 0, "missing": {}}]]

    settings = Settings(log="json", audit=str(folder / "audit"))
    app = application()
    app.state.lethe = Serving(
        front_end,
        rpc,
        everyone,
        Health(lambda: everyone("lethe_check")),
        ("m",),
        {},
        frozenset({SITE}),
        policy=policy(folder),
        watching=watching(settings, Metrics(CollectorRegistry()), front_end, everyone),
    )
    LetheEndpoints().attach_router(app)
    return app


def caller(app: FastAPI, case: str) -> Callable[[], Awaitable[int]]:
    """Sends one request, as uvicorn would; returns its status."""
    key, model, profile = CASES[case]
    headers = [(b"authorization", f"Bearer {key}".encode())]
    headers += [(b"x-unlearning-profile", profile.encode())] if profile else []
    body = json.dumps({"model": model, "messages": [MESSAGE]}).encode()

    async def call() -> int:
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        status: list[int] = []

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            status.extend([message["status"]] if "status" in message else [])

        await app(
            {
                **{"type": "http", "http_version": "1.1", "method": "POST", "path": PATH},
                **{"raw_path": PATH.encode(), "root_path": "", "scheme": "http"},
                **{"query_string": b"", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2)},
                "headers": [(b"content-type", b"application/json"), *headers],
            },
            receive,
            send,
        )
        return status[0]

    return call


async def timed(calls: list[Callable[[], Awaitable[int]]]) -> list[list[float]]:
    """Microseconds of each request of each, in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(WARM_UP + ROUNDS):
        for call, own in zip(calls, times, strict=True):
            began = time.perf_counter()
            status = await call()
            taken = 1e6 * (time.perf_counter() - began)
            assert status == 200
            if turn >= WARM_UP:
                own.append(taken)
    return times


@contextmanager
def log_in(file: Path) -> Iterator[None]:
    """Standard output goes to a file meanwhile."""
    kept = os.dup(1)
    with file.open("wb") as log:
        os.dup2(log.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, whole = application(), with_lethe(folder)
        with log_in(folder / "log"):
            for case in CASES:
                alone, behind = asyncio.run(timed([caller(plain, case), caller(whole, case)]))
                rows.append((case, alone, behind))
        whole.state.lethe.watching.audit.close()
        requests = (WARM_UP + ROUNDS) * len(CASES)
        for file in ("log", "audit"):
            assert len((folder / file).read_bytes().splitlines()) == requests, file
    print("| request | without, p50 | with, p50 | added, p50 | without, p99 | with, p99 |")
    print("|---|---|---|---|---|---|")
    for case, alone, behind in rows:
        (low, high), (low_with, high_with) = map(quantiles, (alone, behind))
        added = low_with - low
        print(
            f"| {case} | {low:.0f} | {low_with:.0f} | {added:.0f} | {high:.0f} | {high_with:.0f} |"
        )


def quantiles(times: list[float]) -> tuple[float, float]:
    """The 50th and the 99th percentile."""
    cut = statistics.quantiles(times, n=100)
    return cut[49], cut[98]


if __name__ == "__main__":
    main()
