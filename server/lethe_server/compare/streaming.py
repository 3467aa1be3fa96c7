"""A comparison as server-sent events, each as it comes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import httpx
from pydantic import BaseModel

from lethe_server.compare.asking import Answer, Piece, RefusedError, ask
from lethe_server.compare.at_once import merged
from lethe_server.compare.documents import Delta, Failed, Finished
from lethe_server.compare.question import Question
from lethe_server.compare.scoring import scores
from lethe_vllm.selection import BASE_VARIANT, Variant


async def events(client: httpx.AsyncClient, question: Question) -> AsyncGenerator[str, None]:
    """The events; closes the client. A variant's error is an event, and the others go on."""
    asking = [_Asking(client, question, variant) for variant in question.asked]
    async with client:
        async with aclosing(merged([one.documents() for one in asking])) as documents:
            async for document in documents:
                yield _event(document)
        answers = {one.variant: one.answer for one in asking if one.answer is not None}
        if question.top_logprobs is not None:
            async for document in _scored(client, question, answers):
                yield _event(document)
    yield "data: [DONE]\n\n"


@dataclass
class _Asking:
    """One variant, being asked; its answer is None until it is whole."""

    client: httpx.AsyncClient
    question: Question
    variant: Variant
    answer: Answer | None = None

    async def documents(self) -> AsyncGenerator[BaseModel, None]:
        try:
            async with aclosing(ask(self.client, self.question, self.variant)) as found:
                async for one in found:
                    if isinstance(one, Answer):
                        self.answer = one
                    if self.variant in self.question.variants:
                        yield self._document(one)
        except RefusedError as error:
            yield _failed(self.question, self.variant, error)

    def _document(self, found: Piece | Answer) -> BaseModel:
        profile, digest = self.variant.name, self.variant.digest or None
        index = self.question.variants.index(self.variant)
        if isinstance(found, Piece):
            return Delta(profile=profile, digest=digest, index=index, delta=found.delta)
        return Finished(
            profile=profile,
            digest=digest,
            index=index,
            finish_reason=found.finish_reason,
            usage=found.usage,
            latency_ms=found.latency_ms,
        )


async def _scored(
    client: httpx.AsyncClient, question: Question, answers: dict[Variant, Answer]
) -> AsyncGenerator[BaseModel, None]:
    """The scores of all who do not refuse; none without the base."""
    while BASE_VARIANT in answers:
        try:
            yield await scores(client, question, answers)
            return
        except RefusedError as error:
            yield _failed(question, error.variant, error)
            del answers[error.variant]


def _failed(question: Question, variant: Variant, error: RefusedError) -> Failed:
    shown = variant in question.variants
    return Failed(
        profile=variant.name,
        digest=variant.digest or None,
        index=question.variants.index(variant) if shown else None,
        error=error.error,
    )


def _event(document: BaseModel) -> str:
    return f"data: {document.model_dump_json()}\n\n"
