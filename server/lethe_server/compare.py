"""POST /v1/unlearning/compare: one conversation, several variants side by side.

Each variant is asked through the application's own chat route, with the caller's credentials, so
a comparison is exactly what the same requests would have got. They run at once, in one batch.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from lethe_server.asking import HEADER, profile_of
from lethe_server.documents import Document
from lethe_server.policy.caller import calling
from lethe_server.policy.decision import check_selection
from lethe_server.serving import Serving
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import Selection, Variant

MAX_VARIANTS = 16
CREDENTIALS = ("authorization", "x-api-key")
"""Headers that say who asks."""

T = TypeVar("T")

router = APIRouter(tags=["unlearning"])


class CompareRequest(Document):
    """What to ask of whom.

    Attributes:
        messages: a conversation, as in a chat completion.
        profiles: `NAME`, `NAME@DIGEST` or several joined by `+` each, `base` included if wanted.
        model: a served name of the base.
        max_tokens: of each answer.
        temperature: 0 for the likeliest answer.
        seed: of the sampling.
    """

    messages: list[dict[str, Any]] = Field(min_length=1)
    profiles: list[str] = Field(min_length=1, max_length=MAX_VARIANTS)
    model: str | None = None
    max_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    seed: int | None = None


class Result(Document):
    """One variant's answer; `latency_ms` is wall time, with all of them running at once."""

    profile: str
    digest: str | None
    text: str
    finish_reason: str | None
    usage: dict[str, Any]
    latency_ms: float


class Comparison(Document):
    """The answers, in the order asked."""

    object: Literal["unlearning.comparison"] = "unlearning.comparison"
    model: str
    results: list[Result]


@dataclass(frozen=True)
class _Refusal:
    """The chat route answered one variant with an error."""

    status: int
    body: dict[str, Any]


@router.post("/v1/unlearning/compare", response_model=Comparison)
async def compare(wanted: CompareRequest, request: Request) -> Any:
    """Asks every variant the same, and answers when all have."""
    serving: Serving = request.app.state.lethe
    model = wanted.model or serving.served[0]
    if profile_of(model, serving.served) is not None:
        raise SelectionError(
            f"model: expected a name of the base ({', '.join(serving.served)}), found "
            f"{model[:80]!r}; name the variants in 'profiles'"
        )
    selections = [Selection.parse(text) for text in wanted.profiles]
    for selection in selections:
        check_selection(calling.get(), selection)
    variants = [await serving.resolve(selection) for selection in selections]
    if len(set(variants)) < len(variants):
        raise SelectionError(
            f"profiles: expected each once, found {', '.join(wanted.profiles)[:200]}; remove one"
        )
    answers = await _while_connected(request, _ask_all(wanted, variants, model, request))
    for answer in answers or []:
        if isinstance(answer, _Refusal):
            return JSONResponse(answer.body, status_code=answer.status)
    return Comparison(model=model, results=[a for a in answers or [] if isinstance(a, Result)])


async def _ask_all(
    wanted: CompareRequest, variants: list[Variant], model: str, request: Request
) -> list[Result | _Refusal]:
    body = wanted.model_dump(exclude={"profiles"}, exclude_none=True) | {"model": model}
    credentials = {name: request.headers[name] for name in CREDENTIALS if name in request.headers}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(request.app, raise_app_exceptions=False),
        base_url="http://lethe",
        headers=credentials,
    ) as client:
        return list(await asyncio.gather(*(_ask(client, body, variant) for variant in variants)))


async def _ask(
    client: httpx.AsyncClient, body: dict[str, Any], variant: Variant
) -> Result | _Refusal:
    started = time.perf_counter()
    exactly = {HEADER: str(variant.selection)}
    reply = await client.post("/v1/chat/completions", json=body, headers=exactly)
    if reply.status_code != 200:
        return _Refusal(reply.status_code, reply.json())
    answer = reply.json()
    choice = answer["choices"][0]
    return Result(
        profile=variant.name,
        digest=variant.digest or None,
        text=choice["message"]["content"] or "",
        finish_reason=choice["finish_reason"],
        usage=answer["usage"],
        latency_ms=round(1000 * (time.perf_counter() - started), 1),
    )


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result; None, and the work is cancelled, if the client hangs up first."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        leaving.cancel()
        answering.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
