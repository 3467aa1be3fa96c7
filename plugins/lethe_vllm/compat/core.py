"""The engine core's seams: keys of the prefix cache, and what every rank holds for a request."""

import functools
import logging
from collections.abc import Collection, Sequence
from typing import Any

from vllm.v1.core import kv_cache_utils
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.core import EngineCore, EngineCoreProc

from lethe_vllm.admission import Admission, Registered, Waiting, largest, smallest
from lethe_vllm.cache_keys import block_key, salted
from lethe_vllm.compat.configuration import enabled
from lethe_vllm.errors import UnavailableError
from lethe_vllm.replies import checked
from lethe_vllm.seam import Method, known, seam
from lethe_vllm.selection import stamped_digest

logger = logging.getLogger("vllm.lethe")

_ADMISSION = "_lethe_admission"


def install() -> None:
    """Admission and the prefix cache."""
    seam(EngineCore, "preprocess_add_request", "self request", _preprocess_add_request)
    seam(EngineCore, "add_request", "self request", _admit)
    seam(EngineCore, "abort_requests", "self request_ids", _abort_requests)
    seam(EngineCore, "post_step", "self", _post_step)
    seam(EngineCore, "collective_rpc", "self method timeout args kwargs", _collective_rpc)
    seam(EngineCoreProc, "pause_scheduler", "self mode", _pause_scheduler)
    for outputs in ("_send_error_outputs_to_client", "_send_abort_outputs_to_client"):
        known(EngineCoreProc, outputs, "self req_ids client_index")
    keys = "generate_block_hash_extra_keys"
    seam(kv_cache_utils, keys, "request start_token_idx end_token_idx", _block_extra_keys)


def _admission(core: EngineCore) -> Admission:
    if not hasattr(core, _ADMISSION):
        setattr(core, _ADMISSION, Admission(smallest(_ask(core, "lethe_limits"))))
    admission: Admission = getattr(core, _ADMISSION)
    return admission


def _ask(core: EngineCore, method: str, *args: Any) -> Sequence[Any]:
    """What every rank replies.

    Raises:
        UnavailableError: one failed.
    """
    return checked(core.model_executor.collective_rpc(method, None, args))


def _preprocess_add_request(preprocess: Method) -> Method:
    def preprocess_add_request(self: EngineCore, request: EngineCoreRequest) -> Any:
        if enabled(self.vllm_config):
            params = request.sampling_params
            digest = stamped_digest(params.extra_args if params else None)
            # Not on the engine's own thread: what is not there yet is not made here.
            admission: Admission | None = getattr(self, _ADMISSION, None)
            positional = digest is not None and (admission is None or admission.positional(digest))
            request.cache_salt = salted(digest, request.cache_salt, positional)
        return preprocess(self, request)

    return preprocess_add_request


def _block_extra_keys(generate: Method) -> Method:
    def generate_block_hash_extra_keys(
        request: Any, start: int, end: int, *args: Any, **kwargs: Any
    ) -> Any:
        keys, multimodal = generate(request, start, end, *args, **kwargs)
        own = block_key(request.cache_salt, end, request.num_prompt_tokens)
        return (*(keys or ()), *own) or None, multimodal

    return generate_block_hash_extra_keys


def _admit(add: Method) -> Method:
    def add_request(self: EngineCore, request: Any, *args: Any, **kwargs: Any) -> None:
        digest = digest_of(request)
        if digest is not None:
            start = functools.partial(add, self, request, *args, **kwargs)
            waiting = Waiting(request.request_id, request.client_index, digest, start)
            if not _ready(self, waiting):
                return
        add(self, request, *args, **kwargs)
        _settle(self)

    return add_request


def _ready(core: EngineCore, request: Waiting) -> bool:
    """Whether a request may be scheduled now. Otherwise it waits for room, or is refused."""
    try:
        admission = _admission(core)
        admission.check(request.digest)
        if not admission.waiting and _hold(core, request.digest):
            return True
        admission.waiting.append(request)
    except UnavailableError as error:
        _refuse(core, request, error)
    return False


def _refuse(core: EngineCore, request: Waiting, error: UnavailableError) -> None:
    """Refuses this request, not the engine: an exception would end the busy loop."""
    if not hasattr(core, "_send_error_outputs_to_client"):
        raise error
    # All that the client is told is that it failed.
    logger.error("Request %s refused: %s", request.request_id, error)
    core._send_error_outputs_to_client([request.request_id], request.client_index)


def _post_step(post: Method) -> Method:
    def post_step(self: EngineCore, *args: Any, **kwargs: Any) -> None:
        post(self, *args, **kwargs)
        _settle(self)

    return post_step


def _abort_requests(abort: Method) -> Method:
    def abort_requests(self: EngineCore, request_ids: list[str]) -> None:
        abort(self, request_ids)
        if hasattr(self, _ADMISSION):
            _abandon(self, request_ids)
        _settle(self)

    return abort_requests


def _abandon(core: EngineCore, request_ids: Collection[str]) -> None:
    """Aborts those that wait for room, which the scheduler does not know, as it aborts the rest."""
    for one in _admission(core).abandon(request_ids):
        if hasattr(core, "_send_abort_outputs_to_client"):
            core._send_abort_outputs_to_client([one.request_id], one.client_index)


def _pause_scheduler(pause: Method) -> Method:
    def pause_scheduler(
        self: EngineCoreProc, mode: str = "abort", *args: Any, **kwargs: Any
    ) -> Any:
        if mode == "abort" and hasattr(self, _ADMISSION):
            _abandon(self, {one.request_id for one in _admission(self).waiting})
        return pause(self, mode, *args, **kwargs)

    return pause_scheduler


def _settle(core: EngineCore) -> None:
    """Requests came or went: unloads what none uses any more, starts what waited for room."""
    if hasattr(core, _ADMISSION):
        _unload_unused(core)
        _start_waiting(core)


def _start_waiting(core: EngineCore) -> None:
    """Hands on the requests that waited for room, as far as there is some now."""
    waiting = _admission(core).waiting
    while waiting:
        try:
            # Also if its profile was retired since: the request came before that.
            if not _hold(core, waiting[0].digest):
                return
        except UnavailableError as error:
            _refuse(core, waiting.popleft(), error)
        else:
            waiting.popleft().start()


def _hold(core: EngineCore, digest: str) -> bool:
    """Makes sure that every rank holds a registered profile; False if nothing makes room yet.

    Raises:
        UnavailableError: it failed its canary on a rank; it is registered no more.
    """
    admission = _admission(core)
    if admission.use(digest):
        return True
    dropped = admission.room(digest, _in_use(core))
    if dropped is None:
        return False
    try:
        _ask(core, "lethe_hold", digest, dropped)
    except Exception as error:
        # Some ranks may hold it and some not; unloading makes all the same.
        admission.hold(digest, dropped)
        _ask(core, "lethe_unload", digest)
        admission.forget(digest)
        raise UnavailableError(f"profile {digest[:12]}: {error}") from error
    admission.hold(digest, dropped)
    return True


def _in_use(core: EngineCore) -> set[str | None]:
    return {digest_of(request) for request in core.scheduler.requests.values()}


def _collective_rpc(call: Method) -> Method:
    def collective_rpc(
        self: EngineCore, method: Any, timeout: Any = None, args: Any = (), kwargs: Any = None
    ) -> Any:
        if method == "lethe_load":
            return _load(self, *args)
        if method == "lethe_unload":
            _admission(self).retire(args[0])
            _settle(self)
            return []
        if method == "lethe_reserve":
            _admission(self).check(args[0])
            return [not _admission(self).waiting and _hold(self, args[0])]
        replies = call(self, method, timeout, args, kwargs)
        if method == "lethe_figures":
            own = {
                "evictions": _admission(self).evictions,
                "waiting": len(_admission(self).waiting),
            }
            return [{**reply, **own} for reply in checked(replies)]
        return checked(replies) if str(method).startswith("lethe_") else replies

    return collective_rpc


def _load(core: EngineCore, digest: str, data: bytes) -> Any:
    """Registers a profile on every rank or on none."""
    before = digest in _admission(core)
    try:
        replies = _ask(core, "lethe_load", digest, data)
        found = Registered(
            largest([reply["needs"] for reply in replies]),
            any(reply["positional"] for reply in replies),
        )
        _admission(core).registered(digest, found)
        # At once if there is room, so that a wrong edit is refused before anybody asks for it.
        _hold(core, digest)
    except Exception:
        if not before:
            _ask(core, "lethe_unload", digest)
        raise
    return replies


def _unload_unused(core: EngineCore) -> None:
    """Forgets retired profiles whose last request is done."""
    if _admission(core).has_retiring:
        waiting = {one.digest for one in _admission(core).waiting}
        for digest in _admission(core).unloadable(_in_use(core) | waiting):
            _ask(core, "lethe_unload", digest)


def digest_of(request: Any) -> str | None:
    """The profile that a request is stamped with; None for the base."""
    params = request.sampling_params
    return stamped_digest(params.extra_args if params else None)
