"""POST /v1/unlearning/compare: one prompt, several variants side by side.

Each variant is asked through the application's own routes, with the caller's credentials, so a
comparison is exactly what the same requests would have got. They run at once, in one batch.
"""

from typing import Any

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from lethe_server.compare.asking import RefusedError, answer
from lethe_server.compare.at_once import together, while_connected
from lethe_server.compare.documents import CompareRequest, Comparison, Result
from lethe_server.compare.question import Question, question_of
from lethe_server.compare.scoring import scores
from lethe_server.compare.streaming import events
from lethe_server.loopback import client_of
from lethe_server.openapi import refusals, text
from lethe_server.strict_route import StrictRoute

CLIENT_LEFT = 499
"""As nginx calls it; nobody reads it."""

router = APIRouter(tags=["unlearning"], route_class=StrictRoute)


@router.post(
    "/v1/unlearning/compare",
    response_model=Comparison,
    responses=text({"text/event-stream": "With `stream`: an event for each piece of an answer."})
    | refusals(400, 404, 409, 413),
)
async def compare(wanted: CompareRequest, request: Request) -> Any:
    """Asks every variant the same, and answers as they do, or when all have."""
    question = await question_of(wanted, request.app.state.lethe)
    client = client_of(request)
    if wanted.stream:
        return StreamingResponse(events(client, question), media_type="text/event-stream")
    try:
        found = await while_connected(request, _compared(client, question))
    except RefusedError as error:
        return JSONResponse(error.body, status_code=error.status)
    return found or Response(status_code=CLIENT_LEFT)


async def _compared(client: httpx.AsyncClient, question: Question) -> Comparison:
    async with client:
        asked = question.asked
        found = await together(*(answer(client, question, variant) for variant in asked))
        answers = dict(zip(asked, found, strict=True))
        scored = question.top_logprobs is not None
        return Comparison(
            model=question.model,
            results=[
                Result(
                    profile=variant.name,
                    digest=variant.digest or None,
                    text=answers[variant].text,
                    finish_reason=answers[variant].finish_reason,
                    usage=answers[variant].usage,
                    latency_ms=answers[variant].latency_ms,
                )
                for variant in question.variants
            ],
            scores=await scores(client, question, answers) if scored else None,
        )
