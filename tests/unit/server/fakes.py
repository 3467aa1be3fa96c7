"""The server's application without vLLM: a fake engine at the one seam, `collective_rpc`."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
import torch
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server.serving import Serving

BASE = BaseModel("LlamaForCausalLM", 8, 4, 16, 32, "ab" * 32)
SITES = frozenset(Site(layer, "block") for layer in range(4))
ABSENT = {Site(1, "mlp"): "this block is a mixture of experts"}


def make(seed: int, *, base: BaseModel = BASE, hook: str = "block", scope: str = "all") -> bytes:
    """A valid artifact; another seed gives another digest."""
    generator = torch.Generator().manual_seed(seed)
    A, B = torch.randn(2, 8, generator=generator), torch.randn(2, 8, generator=generator)
    projector = Projector(Site(1, hook), A, B, scope=scope)
    return artifact.to_bytes(Profile(base, (projector,), "synthetic"))


def rank(number: int, **missing: str) -> dict[str, Any]:
    """What a rank says of its sites."""
    return {"rank": number, "missing": missing}


def event(document: dict[str, Any]) -> str:
    """A server-sent one."""
    return f"data: {json.dumps(document)}\n\n"


async def streamed(text: str) -> AsyncIterator[str]:
    """A chat completion as vLLM streams it with `return_token_ids`, a word a token."""
    words = re.findall(r"\S+\s*", text)
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}}
    yield event({"choices": [first], "prompt_token_ids": [7, 8]})
    for number, word in enumerate(words):
        yield event({"choices": [{"index": 0, "delta": {"content": word}, "token_ids": [number]}]})
    yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 2, "completion_tokens": len(words), "total_tokens": 2 + len(words)}
    yield event({"choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


class Streams:
    """Middleware that answers every chat with these documents."""

    def __init__(self, app: ASGIApp, documents: list[dict[str, Any]]) -> None:
        self.app = app
        self.documents = documents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/v1/chat/completions":
            await self.app(scope, receive, send)
            return
        events = StreamingResponse(map(event, self.documents), media_type="text/event-stream")
        await events(scope, receive, send)


@dataclass
class Engine:
    """What the real one keeps of profiles, and every call made to it.

    Attributes:
        health: what vLLM itself answers to a probe.
        ranks: what they say of their sites, by engine.
        checks: how often they were asked.
        room: whether there is some for another profile, by engine.
        busy: while set, they do not answer.
        figures: what they say of their profiles, by engine.
    """

    held: set[str] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    health: int = 200
    ranks: list[list[dict[str, Any]]] = field(default_factory=lambda: [[rank(0), rank(1)]])
    checks: int = 0
    room: tuple[bool, ...] = (True, True)
    busy: bool = False
    figures: list[list[dict[str, Any]]] = field(default_factory=list)

    async def everyone(self, method: str, *args: Any) -> list[list[Any]]:
        if method == "lethe_reserve":
            assert args[0] in self.held
            return [[has] for has in self.room]
        if method == "lethe_figures":
            return self.figures
        self.checks += 1
        while self.busy:
            await asyncio.sleep(0.01)
        return self.ranks

    async def collective_rpc(self, method: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        self.calls.append((method, args[0]))
        if method == "lethe_load" and args[0] in self.refused:
            raise RuntimeError("Call to collective_rpc method failed: canary")
        if method == "lethe_load":
            self.held.add(args[0])
        else:
            self.held.discard(args[0])
        return [{"digest": args[0], "error": 0.0}]


@dataclass
class Server:
    """An application, its engine, and how to speak to it within one event loop."""

    app: FastAPI
    engine: Engine
    serving: Serving
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test")

    def run(self, use: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
        async def main() -> Any:
            me = asyncio.current_task()
            try:
                async with self.client() as client:
                    return await use(client)
            finally:
                # What a request leaves behind (unloading) is part of it.
                others = [task for task in asyncio.all_tasks() - {me} if not task.cancelling()]
                await asyncio.wait_for(asyncio.gather(*others), 10)

        return asyncio.run(main())

    def post(self, *args: Any, **kwargs: Any) -> httpx.Response:
        async def use(client: httpx.AsyncClient) -> httpx.Response:
            return await client.post(*args, **kwargs)

        return self.run(use)

    def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
        async def use(client: httpx.AsyncClient) -> httpx.Response:
            return await client.request(*args, **kwargs)

        return self.run(use)
