"""The front end's seams: resolve a request's variant, have it registered, stamp it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from vllm.lora.request import LoRARequest
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.core_client import AsyncMPClient
from vllm.v1.engine.llm_engine import LLMEngine

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import LetheError
from lethe_vllm import adapters
from lethe_vllm.compat import refusals
from lethe_vllm.compat.configuration import enabled, options
from lethe_vllm.errors import SelectionError, UnsupportedError
from lethe_vllm.frontend import Everyone, FrontEnd, stamp
from lethe_vllm.seam import Method, known, seam
from lethe_vllm.selection import PROFILE_KEY, Variant, current

_FRONT_END = "_lethe_front_end"
_ENGINE = "data_parallel_rank"


def install() -> None:
    """Both engine clients: `LLM`'s and the server's."""
    seam(LLMEngine, "add_request", "self request_id prompt params", _add_request)
    seam(AsyncLLM, "add_request", "self request_id prompt params", _add_request_async)
    known(AsyncMPClient, "_call_utility_async", "self method args engine")


def front_end(engine: Any) -> FrontEnd:
    """The front end of an engine client (`LLMEngine` or `AsyncLLM`), made at first use.

    Raises:
        UnsupportedError: Lethe is not enabled on that engine.
        LetheError: the folder of profiles holds one that is not for this model.
    """
    existing = getattr(engine, _FRONT_END, None)
    if existing is None:
        config = engine.vllm_config
        if not enabled(config):
            raise UnsupportedError(
                "profile: expected an engine with Lethe enabled, found one without; start it with "
                "'lethe serve', VLLM_PLUGINS=lethe, or additional_config={'lethe': {}}"
            )
        # Here, because no other process of the engine needs a database.
        from lethe_vllm.catalogue import Catalogue

        base = BaseModel.from_checkpoint(config.model_config.model)
        chosen = options(config)
        existing = FrontEnd(Catalogue(chosen.place, base), chosen.when_full)
        setattr(engine, _FRONT_END, existing)
    return existing


def everyone(engine: AsyncLLM) -> Everyone:
    """How to ask every rank of every engine; `collective_rpc` gives the first engine's replies."""

    async def ask(method: str, *args: Any) -> list[list[Any]]:
        client = engine.engine_core
        call = ("collective_rpc", method, None, args, None)
        # What vLLM has for this, `call_utility_all_async`, came with 0.32.
        replies: list[list[Any]] = await asyncio.gather(
            *(client._call_utility_async(*call, engine=one) for one in client.core_engines)
        )
        return replies

    return ask


def _wanted(engine: Any, prompt: Any, params: Any) -> Variant | None:
    """The variant that a request at the engine's door selects; None if it selects none."""
    extra_args = getattr(params, "extra_args", None)
    chosen = current.get()
    if PROFILE_KEY not in (extra_args or {}) and (chosen is None or chosen.is_base):
        return None
    variant = front_end(engine).variant_of(extra_args)
    if isinstance(prompt, EngineCoreRequest | AsyncGenerator):
        raise SelectionError(
            f"profile {variant.name}: expected a prompt, found a {type(prompt).__name__}, whose "
            "parameters are fixed already; pass the prompt itself"
        )
    return variant


def _add_request(add: Method) -> Method:
    def add_request(
        self: Any, request_id: str, prompt: Any, params: Any, *args: Any, **kwargs: Any
    ) -> str:
        variant = _wanted(self, prompt, params)
        if variant is not None:
            stamped = stamp(params, variant)
            front_end(self).load(variant, self.collective_rpc)
            front_end(self).reserve(variant, self.collective_rpc)
            params = stamped
        result: str = add(self, request_id, prompt, params, *args, **kwargs)
        return result

    return add_request


def _add_request_async(add: Method) -> Method:
    async def add_request(
        self: Any, request_id: str, prompt: Any, params: Any, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            for adapter in (*args, *kwargs.values()):
                if isinstance(adapter, LoRARequest):
                    adapters.check.get()(adapter.lora_name)
            variant = _wanted(self, prompt, params)
            if variant is not None:
                stamped = stamp(params, variant)
                await front_end(self).load_async(variant, self.collective_rpc)
                asked = kwargs.get(_ENGINE)
                kwargs[_ENGINE] = await front_end(self).engine_for(variant, everyone(self), asked)
                params = stamped
        except LetheError as error:
            raise refusals.told(error) from error
        return await add(self, request_id, prompt, params, *args, **kwargs)

    return add_request
