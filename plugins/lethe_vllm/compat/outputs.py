"""The front end's seams where vLLM makes answers: what each generation was, and its trace."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from vllm.v1.engine import output_processor
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.detokenizer import IncrementalDetokenizer
from vllm.v1.engine.output_processor import OutputProcessor

from lethe_vllm.generation import Ended, Generation
from lethe_vllm.seam import Method, known, seam
from lethe_vllm.selection import Variant, stamped

_ENDED = "_lethe_ended"
_RUNNING = "_lethe_running"


@dataclass
class _Running:
    """What a request's state is marked with.

    Attributes:
        variant: what it is served by.
        told: whether its end was.
    """

    variant: Variant
    told: bool = False


_tracing: ContextVar[Variant | None] = ContextVar("lethe_tracing", default=None)
"""The variant of the request whose span is being made."""


def install() -> None:
    """Nothing is added to a step: a request is marked when it comes, and read when it ends."""
    seam(OutputProcessor, "add_request", "self request prompt", _add_request)
    seam(OutputProcessor, "abort_requests", "self request_ids internal", _abort_requests)
    seam(OutputProcessor, "_finish_request", "self req_state", _finish_request)
    known(IncrementalDetokenizer, "num_output_tokens", "self")
    tracing = "self engine_core_output req_state"
    seam(OutputProcessor, "do_tracing", tracing, _do_tracing)
    span = "span_name start_time end_time attributes"
    seam(output_processor, "instrument_manual", span, _instrument_manual)


def on_ended(engine: AsyncLLM, ended: Ended) -> None:
    """Has `ended` told of every generation of an engine client from now on, and marks its spans."""
    setattr(engine.output_processor, _ENDED, ended)


def _add_request(add: Method) -> Method:
    def add_request(self: OutputProcessor, request: Any, *args: Any, **kwargs: Any) -> None:
        add(self, request, *args, **kwargs)
        state = self.request_states.get(request.request_id)
        # A request whose input comes in pieces is added again and again.
        if hasattr(self, _ENDED) and state is not None and not hasattr(state, _RUNNING):
            params = request.sampling_params
            setattr(state, _RUNNING, _Running(stamped(params.extra_args if params else None)))

    return add_request


def _finish_request(finish: Method) -> Method:
    def _finish_request(self: OutputProcessor, req_state: Any) -> None:
        finish(self, req_state)
        _tell(self, req_state)

    return _finish_request


def _abort_requests(abort: Method) -> Method:
    def abort_requests(
        self: OutputProcessor, request_ids: Iterable[str], internal: bool
    ) -> list[str]:
        before = dict(self.request_states)
        aborted: list[str] = abort(self, request_ids, internal)
        for request_id in aborted:
            _tell(self, before[request_id])
        return aborted

    return abort_requests


def _tell(processor: OutputProcessor, state: Any) -> None:
    """Tells of an end once: a parent's abort names its children again, which aborted before it."""
    running: _Running | None = getattr(state, _RUNNING, None)
    if running is None or running.told or state.detokenizer is None:
        return
    running.told = True
    computed = not state.is_prefilling and state.request_index == 0
    generated = state.detokenizer.num_output_tokens()
    timed = state.stats is not None and generated > 0
    generation = Generation(
        running.variant,
        state.prompt_len if computed else 0,
        generated,
        state.stats.first_token_latency if timed else None,
    )
    getattr(processor, _ENDED)(generation)


def _do_tracing(trace: Method) -> Method:
    def do_tracing(
        self: OutputProcessor, engine_core_output: Any, req_state: Any, *args: Any
    ) -> None:
        running: _Running | None = getattr(req_state, _RUNNING, None)
        token = _tracing.set(None if running is None else running.variant)
        try:
            trace(self, engine_core_output, req_state, *args)
        finally:
            _tracing.reset(token)

    return do_tracing


def _instrument_manual(instrument: Method) -> Method:
    def instrument_manual(
        span_name: str,
        start_time: int,
        end_time: int | None = None,
        attributes: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        variant = _tracing.get()
        if variant is not None:
            attributes = {**(attributes or {}), "lethe.profile": variant.name}
            if not variant.is_base:
                attributes["lethe.digest"] = variant.digest
        return instrument(span_name, start_time, end_time, attributes, **kwargs)

    return instrument_manual
