"""The routes under /v1/unlearning/profiles."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from lethe_projections import artifact
from lethe_projections.errors import LetheError
from lethe_server import bodies, publishing
from lethe_server.documents import (
    Deleted,
    ProfileDocument,
    ProfileList,
    document,
    summary,
)
from lethe_server.policy.caller import calling
from lethe_server.policy.decision import check_seen
from lethe_server.serving import Serving
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import check_name

router = APIRouter(prefix="/v1/unlearning/profiles", tags=["unlearning"])


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.lethe
    return serving


@router.get("")
async def list_profiles(request: Request) -> ProfileList:
    """Every profile that the caller may see, by name."""
    serving, caller = _serving(request), calling.get()
    data = await asyncio.to_thread(
        lambda: [summary(e, serving) for e in serving.entries() if caller.sees(e.name)]
    )
    return ProfileList(data=data)


@router.get("/{name}")
async def get_profile(name: str, request: Request) -> ProfileDocument:
    """One profile, with its provenance."""
    serving = _serving(request)
    check_seen(calling.get(), name)
    return await asyncio.to_thread(lambda: document(serving.catalogue.entry(name), serving))


@router.put("/{name}", response_model=ProfileDocument, responses={201: {"model": ProfileDocument}})
async def put_profile(name: str, request: Request) -> JSONResponse:
    """Stores the artifact in the body under a name, once every rank has loaded it."""
    serving = _serving(request)
    check_name(name)
    data = await _artifact(request)
    entry, is_new = await publishing.put(serving, name, data)
    found = await asyncio.to_thread(document, entry, serving)
    return JSONResponse(found.model_dump(), status_code=201 if is_new else 200)


@router.delete("/{name}")
async def delete_profile(name: str, request: Request) -> Deleted:
    """Forgets a name."""
    variant = await publishing.delete(_serving(request), name)
    return Deleted(id=variant.name)


async def _artifact(request: Request) -> bytes:
    if "json" in request.headers.get("content-type", "").lower():
        raise SelectionError(
            "PUT: expected the artifact's bytes (content-type application/octet-stream), found "
            "JSON; loading from a source is not supported yet: send the file itself"
        )
    bodies.check_declared_size(request.scope, artifact.MAX_BYTES)
    data = await bodies.read(request.receive, artifact.MAX_BYTES)
    if data is None:
        raise LetheError("PUT: expected the whole artifact, found the connection closed")
    return data
