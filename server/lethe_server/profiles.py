"""The routes under /v1/unlearning/profiles."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from lethe_projections import artifact
from lethe_projections.errors import LetheError
from lethe_server import bodies, preconditions, publishing
from lethe_server.documents import (
    Deleted,
    Earlier,
    LogprobsDocument,
    Marks,
    ProfileDocument,
    ProfileList,
    Source,
    VersionList,
    document,
    history,
    summary,
)
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence
from lethe_server.exchange import exchange_of
from lethe_server.openapi import ProfileName, body, created, headers, refusals
from lethe_server.policy.caller import calling
from lethe_server.policy.decision import check_seen
from lethe_server.serving import Serving
from lethe_server.strict_route import StrictRoute
from lethe_vllm.catalogue import Entry
from lethe_vllm.errors import ConflictError, SelectionError
from lethe_vllm.selection import check_name
from lethe_vllm.store.meanings import unknown

MAX_SOURCE_BYTES = 64 * 1024
"""Of a body that says where an artifact is."""

router = APIRouter(prefix="/v1/unlearning/profiles", tags=["unlearning"], route_class=StrictRoute)


def _author(request: Request) -> str:
    return exchange_of(request.scope).key or ""


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.lethe
    return serving


@router.get("", responses=refusals())
async def list_profiles(request: Request) -> ProfileList:
    """Every profile that the caller may see, by name."""
    serving, caller = _serving(request), calling.get()
    data = await asyncio.to_thread(
        lambda: [summary(e, serving) for e in serving.entries() if caller.sees(e.name)]
    )
    logprobs = LogprobsDocument(mode=serving.logprobs_mode, top=serving.top_logprobs)
    return ProfileList(data=data, logprobs=logprobs)


@router.get("/{name}", responses=refusals(404))
async def get_profile(name: ProfileName, request: Request) -> ProfileDocument:
    """One profile, with its provenance."""
    serving = _serving(request)
    check_seen(calling.get(), name)
    return await asyncio.to_thread(lambda: document(serving.catalogue.entry(name), serving))


@router.put(
    "/{name}",
    response_model=ProfileDocument,
    responses=created(ProfileDocument) | refusals(400, 409, 412, 413),
    openapi_extra=body(
        {
            "application/octet-stream": {
                "type": "string",
                "format": "binary",
                "description": "The artifact.",
            },
            "application/json": Source.model_json_schema(),
        }
    )
    | headers(preconditions.HEADERS),
)
async def put_profile(name: ProfileName, request: Request) -> JSONResponse:
    """Gives a name an artifact, once every rank has loaded it.

    The body is the artifact, or JSON that says where it is: `{"source": "hf://org/name@revision"}`.
    With `If-None-Match` or `If-Match` the name is changed only if it means what these say at that
    moment, whatever other requests, and servers that share the store, do meanwhile; else a 412.
    """
    serving = _serving(request)
    check_name(name)
    expected = preconditions.expected(request.headers)
    data, source = await _artifact(request, serving)
    entry, is_new = await publishing.put(serving, name, data, source, _author(request), expected)
    found = await asyncio.to_thread(document, entry, serving)
    return JSONResponse(found.model_dump(), status_code=201 if is_new else 200)


@router.patch("/{name}", responses=refusals(400, 404))
async def mark_profile(name: ProfileName, marks: Marks, request: Request) -> ProfileDocument:
    """Pins a name, so that nothing changes it, or lets it go; sets its labels."""
    serving = _serving(request)
    catalogue = serving.catalogue
    named = await asyncio.to_thread(catalogue.now, name)
    digest = None if named is None else named.digest
    async with serving.watching.audit.change("mark", name, digest, digest):
        marked = await asyncio.to_thread(catalogue.names.mark, name, marks.pinned, marks.labels)
    return await asyncio.to_thread(lambda: document(catalogue.entry_of(marked), serving))


@router.put(
    "/{name}/evidence",
    responses=refusals(400, 404, 409, 413),
    openapi_extra=body({"application/json": {"$ref": "#/components/schemas/Evidence"}}),
)
async def put_evidence(name: ProfileName, request: Request) -> Evidence:
    """Says what was measured of the profile that a name has, in place of what was said before.

    The body is a document as `lethe eval` writes it, of the digest that the name has.
    """
    serving = _serving(request)
    found = evidence.parse(await _body(request, evidence.MAX_BYTES))
    entry = await asyncio.to_thread(serving.catalogue.entry, name)
    _check_measured(found, entry)
    data = evidence.to_bytes(found)
    async with serving.watching.audit.change("evidence", name, entry.digest, entry.digest):
        await asyncio.to_thread(serving.catalogue.put_evidence, entry.digest, data)
    return found


@router.get("/{name}/versions", responses=refusals(404))
async def list_versions(name: ProfileName, request: Request) -> VersionList:
    """Everything that a name ever meant, the newest first."""
    catalogue = _serving(request).catalogue
    found = await asyncio.to_thread(catalogue.history, name)
    if not found:
        raise unknown(name, await asyncio.to_thread(catalogue.names.all))
    return history(found)


@router.post("/{name}/rollback", responses=refusals(400, 404, 409))
async def roll_back(
    name: ProfileName, request: Request, to: Earlier | None = None
) -> ProfileDocument:
    """Gives a name an earlier profile of its own again, also if it was deleted."""
    serving = _serving(request)
    check_name(name)
    wanted = (to or Earlier()).wanted
    entry = await publishing.rollback(serving, name, wanted, _author(request))
    return await asyncio.to_thread(document, entry, serving)


@router.delete("/{name}", responses=refusals(404, 409))
async def delete_profile(name: ProfileName, request: Request) -> Deleted:
    """Forgets a name; its history stays, for a rollback."""
    variant = await publishing.delete(_serving(request), name, _author(request))
    return Deleted(id=variant.name)


async def _artifact(request: Request, serving: Serving) -> tuple[bytes, str]:
    """The artifact, and where it is from."""
    is_json = "json" in request.headers.get("content-type", "").lower()
    limit = MAX_SOURCE_BYTES if is_json else artifact.MAX_BYTES
    data = await _body(request, limit)
    if not is_json:
        return data, ""
    try:
        source = Source.model_validate_json(data).source
    except ValidationError as error:
        raise SelectionError(
            f"PUT: expected {{'source': 'URL'}}, or the artifact's bytes with content-type "
            f"application/octet-stream, found {bodies.excerpt(data)}: {error.error_count()} "
            "mistake(s); correct it"
        ) from error
    return await serving.sources.read(source), source


async def _body(request: Request, limit: int) -> bytes:
    bodies.check_declared_size(request.scope, limit)
    data = await bodies.read(request.receive, limit)
    if data is None:
        raise LetheError("PUT: expected the whole body, found the connection closed")
    return data


def _check_measured(found: Evidence, entry: Entry) -> None:
    """Raises ConflictError where evidence is another profile's, or of another model."""
    measured, has = (found.digest, found.model), (entry.digest, entry.profile.base.fingerprint)
    for what, one, other in zip(("digest", "model"), has, measured, strict=True):
        if one != other:
            raise ConflictError(
                f"evidence of {entry.name}: expected the {what} {one[:12]}, which it has, found "
                f"{other[:12]}; evaluate what the name means now"
            )
