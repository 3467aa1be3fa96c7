"""GET /playground and its files, of a list that is made when the server starts.

A request's path is looked up in that list and reaches no file system. The policy lets everybody
have them: they hold nothing of the server's, and the page asks for a key where one is needed.
"""

from functools import cache

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from lethe_server.playground.files import INDEX, File, listing

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Nothing from another host, and nothing that is written into the page itself."""

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(prefix="/playground", tags=["playground"], default_response_class=Response)

files = cache(listing)


@router.get("")
async def playground(request: Request) -> Response:
    """The page."""
    return _answer(request, files()[INDEX])


@router.get("/{path:path}")
async def playground_file(path: str, request: Request) -> Response:
    """A file of the page; 404 if it is not in the list."""
    if path in ("", INDEX):
        # What the page asks for is relative to the address without either.
        return RedirectResponse("../playground", headers=HEADERS)
    found = files().get(path)
    if found is None:
        return Response("Not Found", status_code=404, media_type="text/plain", headers=HEADERS)
    return _answer(request, found)


def _answer(request: Request, file: File) -> Response:
    headers = {**HEADERS, "ETag": file.etag}
    if file.etag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
