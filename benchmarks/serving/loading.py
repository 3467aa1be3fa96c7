"""Time between tokens of streamed answers, while profiles are put on the server or not.

Windows with and without loading take turns on one running `lethe serve`, eager.
"""

import asyncio
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.serving import edits
from benchmarks.serving.cases import Case
from benchmarks.serving.spread import Spread
from lethe_projections import embedded
from lethe_projections.base_model import BaseModel
from lethe_server import demo

PER_SECOND = 10
STREAMS = 8
WINDOW = 8.0
"""Seconds of one window."""
LOADED = Case("lethe", 64)
"""What is loaded is of this shape."""
RESERVED = ("1", "2")
"""Cores on which vLLM's workers do not compute: what it leaves by itself, and one more. The engine
core's loop takes one of them; the server and its clients have the other, or share with workers."""


def measure(port: int, rounds: int, reserved: str) -> dict[str, Any]:
    """p50 and p99 of the seconds between two tokens of a stream, in both kinds of windows."""
    os.environ["VLLM_CPU_NUM_OF_RESERVED_CPU"] = reserved
    with tempfile.TemporaryDirectory(prefix="lethe-bench-") as name:
        folder = Path(name)
        (folder / "profiles").mkdir()
        with demo.serving(folder / "profiles", port, folder / "server.log") as server:
            demo.wait_until_healthy(server, Console())
            return asyncio.run(_measure(server.url, rounds))


async def _measure(url: str, rounds: int) -> dict[str, Any]:
    base = BaseModel.from_checkpoint(str(embedded.prepare()))
    artifacts = [edits.profile(seed, LOADED, base) for seed in range(round(WINDOW * PER_SECOND))]
    order = random.Random(0)  # noqa: S311
    gaps: dict[bool, list[list[float]]] = {False: [], True: []}
    puts: list[float] = []
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for n in range(STREAMS):
            await _put(client, f"s{n}", edits.profile(10_000 + n, LOADED, base))
        for number in track(range(rounds + 1), "loading"):
            for loading in order.sample((False, True), 2):
                found, took = await _window(client, artifacts if loading else [], number)
                if number:
                    gaps[loading].append(found)
                    puts += took
    return _summary(gaps, puts)


async def _window(
    client: httpx.AsyncClient, artifacts: list[bytes], number: int
) -> tuple[list[float], list[float]]:
    """Gaps of all streams, and what each load took."""
    end = time.perf_counter() + WINDOW
    streams = [asyncio.create_task(_stream(client, f"s{n}", end)) for n in range(STREAMS)]
    puts = []
    for n, data in enumerate(artifacts):
        # On the clock, so that a slow load does not make the others fewer.
        await asyncio.sleep(max(0.0, end - WINDOW + n / PER_SECOND - time.perf_counter()))
        # Other contents under the name than last time: it is loaded, and the old one unloaded.
        name = f"n{(n + number) % len(artifacts)}"
        puts.append(asyncio.create_task(_put(client, name, data)))
    took = list(await asyncio.gather(*puts))
    return [gap for found in await asyncio.gather(*streams) for gap in found], took


async def _put(client: httpx.AsyncClient, name: str, data: bytes) -> float:
    started = time.perf_counter()
    reply = await client.put(f"/v1/unlearning/profiles/{name}", content=data)
    reply.raise_for_status()
    return time.perf_counter() - started


async def _stream(client: httpx.AsyncClient, profile: str, end: float) -> list[float]:
    """Seconds between the tokens of one answer after the other, until the window's end."""
    gaps: list[float] = []
    body = {
        "model": "smollm2", "prompt": "A story:", "max_tokens": 400, "ignore_eos": True,
        "temperature": 0, "stream": True,
    }  # fmt: skip
    headers = {"X-Unlearning-Profile": profile}
    while time.perf_counter() < end:
        last = None
        async with client.stream("POST", "/v1/completions", json=body, headers=headers) as reply:
            reply.raise_for_status()
            async for line in reply.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                now = time.perf_counter()
                if last is not None:
                    gaps.append(now - last)
                last = now
                if now >= end:
                    break
    return gaps


def _summary(gaps: dict[bool, list[list[float]]], puts: list[float]) -> dict[str, Any]:
    row: dict[str, Any] = {"streams": STREAMS, "loads_per_second": PER_SECOND}
    for name, percent in (("p50", 50), ("p99", 99)):
        quiet, loading = ([np.percentile(w, percent) for w in gaps[kind]] for kind in (False, True))
        row[name] = {
            "quiet_ms": vars(Spread.of([1e3 * value for value in quiet])),
            "loading_ms": vars(Spread.of([1e3 * value for value in loading])),
            "ratio": vars(Spread.of([b / a for a, b in zip(quiet, loading, strict=True)])),
        }
    row["load_ms"] = vars(Spread.of([1e3 * seconds for seconds in puts]))
    percents = list(range(1, 100))
    for kind, name in ((False, "quiet"), (True, "loading")):
        pooled = np.concatenate(gaps[kind])
        row[f"{name}_percentiles_ms"] = np.round(1e3 * np.percentile(pooled, percents), 2).tolist()
    return row
