"""Asks one variant, through vLLM's own streaming route. Knows nothing of the others."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from lethe_projections.errors import LetheError
from lethe_server import errors
from lethe_server.asking import HEADER
from lethe_server.compare.question import Question
from lethe_vllm.selection import Variant

SERVER_ERROR = "InternalServerError"


@dataclass(frozen=True)
class Piece:
    """What one event of a stream adds to an answer, as in OpenAI's chat."""

    delta: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        prompt_token_ids: empty if they were not asked for.
        token_ids: of the answer; as well.
        latency_ms: wall time.
    """

    text: str
    finish_reason: str
    usage: dict[str, Any]
    prompt_token_ids: list[int]
    token_ids: list[int]
    latency_ms: float


class RefusedError(LetheError):
    """A route answered a variant's request with an error.

    Attributes:
        variant: whose.
        status: of the response.
        body: of the response.
    """

    def __init__(self, variant: Variant, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{variant.name}: expected an answer, found status {status}: {body}")
        self.variant = variant
        self.status = status
        self.body = body

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's error, whatever form the body has."""
        found = self.body.get("error")
        wrapped = errors.body(str(found or self.body), SERVER_ERROR, self.status)["error"]
        return found if isinstance(found, dict) else wrapped


async def ask(
    client: httpx.AsyncClient, question: Question, variant: Variant
) -> AsyncGenerator[Piece | Answer, None]:
    """The pieces of a variant's answer as they come, and at last the whole.

    Raises:
        RefusedError: it was refused, or broke off.
    """
    started = time.perf_counter()
    taken = _Taken()
    headers = exactly(variant)
    async with client.stream("POST", question.path, json=question.body, headers=headers) as reply:
        if reply.status_code != 200:
            await reply.aread()
            raise refused(variant, reply)
        async for document in _documents(reply):
            if "error" in document:
                raise RefusedError(variant, _status(document), document)
            taken.usage = document.get("usage") or taken.usage
            if document["choices"]:
                yield Piece(taken.choice(document))
    if taken.finish_reason is None:
        raise broken(variant, "an answer to its end", "its stream broken off")
    yield Answer(
        "".join(taken.texts),
        taken.finish_reason,
        taken.usage,
        taken.prompt_token_ids,
        taken.token_ids,
        latency_ms=round(1000 * (time.perf_counter() - started), 1),
    )


async def answer(client: httpx.AsyncClient, question: Question, variant: Variant) -> Answer:
    """A variant's answer when it is whole.

    Raises:
        RefusedError: as `ask`.
    """
    found = [one async for one in ask(client, question, variant)]
    [whole] = [one for one in found if isinstance(one, Answer)]
    return whole


def exactly(variant: Variant) -> dict[str, str]:
    """Headers that select this variant, digests included."""
    return {HEADER: str(variant.selection)}


def refused(variant: Variant, reply: httpx.Response) -> RefusedError:
    """The error that a response is."""
    try:
        body = reply.json()
    except ValueError:
        body = reply.text
    if not isinstance(body, dict):
        body = errors.body(str(body), SERVER_ERROR, reply.status_code)
    return RefusedError(variant, reply.status_code, body)


def broken(variant: Variant, expected: str, found: str) -> RefusedError:
    """The error of an answer that was not refused and yet is none."""
    message = f"{variant.name}: expected {expected}, found {found}; see the server's log"
    return RefusedError(variant, 500, errors.body(message, SERVER_ERROR, 500))


@dataclass
class _Taken:
    """What has come of an answer so far."""

    texts: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    prompt_token_ids: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)

    def choice(self, document: dict[str, Any]) -> dict[str, Any]:
        """Takes one event of the answer; returns what it adds."""
        [choice] = document["choices"]
        delta = choice["delta"] if "delta" in choice else {"content": choice["text"]}
        self.texts.append(delta.get("content") or "")
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        # A chat has them beside the choice, a completion in it.
        prompt = document.get("prompt_token_ids") or choice.get("prompt_token_ids")
        self.prompt_token_ids = prompt or self.prompt_token_ids
        self.token_ids += choice.get("token_ids") or []
        return {key: value for key, value in delta.items() if value is not None}


async def _documents(reply: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The JSON documents of a stream of server-sent events."""
    async for line in reply.aiter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def _status(document: dict[str, Any]) -> int:
    """The status that an error within a stream would have had."""
    code = document["error"].get("code") if isinstance(document["error"], dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
