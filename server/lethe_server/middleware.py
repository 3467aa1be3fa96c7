"""Decides, before anything else of the application runs, which variant serves a request.

Pure ASGI: the body is passed on as it came and a response streams through untouched. For the rest
of the request `lethe_vllm.selection.current` holds the variant, which is what the engine's front
door reads; it is the base only for requests that named no other.
"""

import json
from collections.abc import Awaitable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lethe_projections.errors import LetheError
from lethe_server import bodies, errors
from lethe_server.asking import HEADER, asked, wants_beams
from lethe_server.exchange import exchange_of
from lethe_server.experiments.taking_part import HEADER as EXPERIMENT_HEADER
from lethe_server.experiments.taking_part import Joining, joining
from lethe_server.policy.decision import Asked
from lethe_server.policy.guard import Admitted, admitted
from lethe_server.policy.routes import Needs, needs
from lethe_server.serving import Serving
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import BASE_VARIANT, Variant, current

MANAGEMENT = "/v1/unlearning/"
"""Paths below this manage profiles; a selection has no meaning there."""

_HEADER_KEY = HEADER.lower()

_ERRORS = (b'data: {"error"', b"event: error")
"""How a stream's last words begin where it failed: OpenAI's form, and Anthropic's."""


class SelectVariant:
    """The middleware. `app.state.lethe` must be a `Serving`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            if needs(scope["method"], path(scope)) is Needs.NOTHING:
                # A probe may be anybody's: nothing of it is read, and it counts nowhere.
                return self._serve(BASE_VARIANT, scope, receive, send)
            return self._http(scope, receive, send)
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        return self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        serving: Serving = scope["app"].state.lethe
        with ExitStack() as stack:
            try:
                permit = stack.enter_context(admitted(scope, path(scope), serving.policy))
                request = await _read(scope, receive, serving)
                if request is None:
                    return
                wanted = request.asked
                if request.joining is not None:
                    part = await serving.laboratory.part(
                        request.joining, wanted.selection, scope, permit.check_arm
                    )
                    stack.enter_context(part)
                    wanted, send = replace(wanted, selection=part.selection), part.recording(send)
                variant = await serving.resolve(permit.selected(wanted))
                if _generates(scope):
                    exchange_of(scope).variant = variant
                stack.enter_context(serving.uses.of(variant.digest))
                await serving.make_resident(variant)
                await _check(variant, serving, permit, request)
                if _generates(scope):
                    await serving.check_room(variant)
            except LetheError as error:
                exchange_of(scope).refused = type(error).__name__
                await errors.response(error)(scope, receive, send)
                return
            try:
                await self._serve(variant, scope, request.receive, _named(variant, scope, send))
            except Exception:
                _doubt(serving, variant)
                raise

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        for header in (HEADER, EXPERIMENT_HEADER):
            if bodies.header_values(scope, header.lower()):
                await _close(receive, send, f"{header} is not supported on websockets; use HTTP")
                return
        serving: Serving = scope["app"].state.lethe
        with ExitStack() as stack:
            try:
                stack.enter_context(admitted(scope, path(scope), serving.policy))
            except LetheError as error:
                await _close(receive, send, str(error))
                return
            await self._serve(BASE_VARIANT, scope, receive, send)

    async def _serve(self, variant: Variant, scope: Scope, receive: Receive, send: Send) -> None:
        token = current.set(variant)
        try:
            await self.app(scope, receive, send)
        finally:
            current.reset(token)


@dataclass(frozen=True)
class _Request:
    """What was read ahead of a request, and the channel that gives it back."""

    asked: Asked
    receive: Receive
    wants_beams: bool = False
    joining: Joining | None = None


async def _check(variant: Variant, serving: Serving, permit: Admitted, request: _Request) -> None:
    """Raises LetheError if a variant may not serve a request for what its profile edits."""
    if not (permit.caller.base or variant.is_base):
        permit.check_profile(variant, await serving.profile(variant))
    if request.wants_beams:
        await serving.check_beams(variant)


async def _read(scope: Scope, receive: Receive, serving: Serving) -> _Request | None:
    """None if the client left meanwhile."""
    values = bodies.header_values(scope, _HEADER_KEY)

    def says(body: bytes | None = None) -> Asked:
        selection = asked(values, body, serving.served, serving.adapters)
        return Asked(path(scope), selection, body, serving.served, serving.adapters)

    if path(scope).startswith(MANAGEMENT):
        _refuse_headers(scope)
        if scope["method"] == "PUT":  # an artifact, which its route bounds
            return _Request(says(), receive)
        body = await _body(scope, receive)
        return None if body is None else _Request(says(), bodies.replayed(body, receive))
    if scope["method"] != "POST" or not _may_be_json(scope):
        return _Request(says(), receive, joining=joining(scope, None))
    body = await _body(scope, receive)
    if body is None:
        return None
    again = bodies.replayed(body, receive)
    return _Request(says(body), again, wants_beams(body), joining(scope, body))


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    bodies.check_declared_size(scope)
    return await bodies.read(receive)


def _refuse_headers(scope: Scope) -> None:
    for header in (HEADER, EXPERIMENT_HEADER):
        for value in bodies.header_values(scope, header.lower()):
            raise SelectionError(
                f"{header}: expected none on {MANAGEMENT}, found {value[:80]!r}; leave it out"
            )


def path(scope: Scope) -> str:
    """A request's path below where the application is mounted."""
    whole: str = scope["path"]
    return whole.removeprefix(scope.get("root_path", ""))


async def _close(receive: Receive, send: Send, reason: str) -> None:
    """Refuses a websocket. A reason has 123 bytes at most."""
    await receive()
    said = reason.encode()[:123].decode(errors="ignore")
    await send({"type": "websocket.close", "code": 1008, "reason": said})


def _generates(scope: Scope) -> bool:
    return bool(scope["method"] == "POST" and not path(scope).startswith(MANAGEMENT))


def _may_be_json(scope: Scope) -> bool:
    for value in bodies.header_values(scope, "content-type"):
        media_type = value.partition(";")[0].strip().lower()
        return media_type == "application/json" or media_type.endswith("+json")
    return True


def _named(variant: Variant, scope: Scope, send: Send) -> Send:
    """A channel that says in the response which variant it is of, and counts it."""
    name = variant.name if variant.is_base else f"{variant.name}@{variant.digest[:12]}"
    serving: Serving = scope["app"].state.lethe
    generates = _generates(scope)

    async def send_named(message: Message) -> None:
        if message["type"] == "http.response.start" and generates:
            MutableHeaders(raw=message["headers"])[HEADER] = name
            if message["status"] < 400:
                serving.answered[variant.digest] += 1
        if _failed(message):
            _doubt(serving, variant)
        await send(message)

    return send_named


def _failed(message: Message) -> bool:
    """Whether the engine failed a request, before it began to answer or in a stream."""
    if message["type"] == "http.response.start":
        return int(message["status"]) >= 500
    body = bytes(message.get("body", b""))
    return body.startswith(_ERRORS) and not _is_clients(body)


def _is_clients(event: bytes) -> bool:
    """Whether an error is the client's own, which OpenAI's form says and Anthropic's does not."""
    try:
        code = json.loads(event.partition(b"\n")[0].removeprefix(b"data: "))["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return False
    return isinstance(code, int) and code < 500


def _doubt(serving: Serving, variant: Variant) -> None:
    """Takes a variant for loaded no more, so that the next request makes sure.

    The engine failed one; another server process may have had it unloaded.
    """
    serving.front_end.resident.discard(variant.digest)
