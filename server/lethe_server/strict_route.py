"""Routes whose bodies have one meaning: JSON without NaN, lone surrogates or repeated fields.

FastAPI would pass them on, to fail where nobody expects them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from lethe_projections import strict_json
from lethe_vllm.errors import SelectionError


class StrictRoute(APIRoute):
    """A route that reads its body strictly, if it declares one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's; an empty body is the route's to judge."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def strictly(request: Request) -> Response:
            body = await request.body()
            if body:
                await asyncio.to_thread(_check, body)
            return await handle(request)

        return strictly


def _check(body: bytes) -> None:
    try:
        strict_json.loads(body)
    except ValueError as error:
        raise SelectionError(
            f"request body: expected JSON (RFC 8259), found {str(error)[:200]!r}; correct it"
        ) from error
