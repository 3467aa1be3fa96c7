"""An application with Lethe's routes and middleware in front of two routes of a fake vLLM."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from lethe_server.entry import LetheEndpoints
from lethe_server.health import Health
from lethe_server.serving import Serving
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.frontend import FrontEnd
from lethe_vllm.selection import current

from .fakes import ABSENT, BASE, SITES, Engine, Server, streamed


@pytest.fixture
def server(tmp_path: Path) -> Server:
    app, engine = FastAPI(), Engine()
    front_end = FrontEnd(Catalogue(tmp_path / "profiles", BASE))
    front_end.reached = True
    served = ("smollm2", "org/model:8b")
    adapters = {"smollm2:adapter": 1}
    health = Health(lambda: engine.everyone("lethe_check"))
    asks = engine.collective_rpc, engine.everyone
    engine_is = {"dtype": "bfloat16", "quantization": "fp8"}
    serving = Serving(front_end, *asks, health, served, adapters, SITES, ABSENT, **engine_is)
    app.state.lethe = serving
    found = Server(app, engine, serving)

    @app.api_route("/health", methods=["GET"])
    @app.api_route("/ping", methods=["GET", "POST"])
    async def health() -> Response:
        return Response(status_code=engine.health)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Any:
        variant = current.get()
        body = await request.body()
        assert variant is not None
        assert variant.is_base or variant.digest in engine.held
        if b'"stream":true' in body:
            return StreamingResponse(streamed(f"as {variant.name}"), media_type="text/event-stream")
        return {
            "served_by": variant.name,
            "body": body.decode("latin-1"),
            "choices": [{"message": {"content": f"as {variant.name}"}, "finish_reason": "stop"}],
            "usage": {"total_tokens": 1},
        }

    @app.post("/v1/stream")
    async def stream(_: Request) -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for _ in range(3):
                variant = current.get()
                yield f"{variant.name if variant else None}\n"
            await found.gate.wait()
            yield "end\n"

        return StreamingResponse(chunks())

    LetheEndpoints().attach_router(app)
    return found
