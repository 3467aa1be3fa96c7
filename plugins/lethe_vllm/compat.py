"""Every private name of vLLM that Lethe touches, in one file. Tried with vLLM 0.32.0.

    EngineArgs.create_engine_config           whether Lethe is on; what it cannot serve
    LLMEngine.add_request, AsyncLLM.add_request   resolve and stamp the variant (front end)
    EngineCore.preprocess_add_request         salt the prefix cache           (engine core)
    kv_cache_utils.generate_block_hash_extra_keys   the same, block by block  (engine core)
    EngineCore.add_request, .collective_rpc   admit resident profiles only    (engine core)
    BaseModelLoader.load_model                install sites                   (worker)
    GPUModelRunner._update_states, ._prepare_inputs, .execute_model   route tokens (worker, V1)

The seams are installed in every process in which the package is present, and hand straight
through unless the engine has Lethe enabled; the runner's only where sites are installed.
"""

import functools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import torch
from vllm import envs
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.distributed import get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader.base_loader import BaseModelLoader
from vllm.usage.usage_lib import UsageContext
from vllm.v1.core import kv_cache_utils
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.core import EngineCore
from vllm.v1.engine.llm_engine import LLMEngine
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

from lethe_projections.base_model import BaseModel
from lethe_vllm import installation
from lethe_vllm.admission import Admission, block_key, salted
from lethe_vllm.bank import Placement, Shard
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.edit import live
from lethe_vllm.errors import SelectionError, UnavailableError, UnsupportedError
from lethe_vllm.frontend import FrontEnd, stamp
from lethe_vllm.options import CONFIG_KEY, Options, named_in_environment
from lethe_vllm.routing import Batch
from lethe_vllm.selection import PROFILE_KEY, Variant, current, stamped_digest

WORKER_EXTENSION = "lethe_vllm.worker.LetheWorker"
_MARK = "_lethe_seam"
_OPTIONS = "_lethe_options"
_FRONT_END = "_lethe_front_end"
_ADMISSION = "_lethe_admission"

Method = Callable[..., Any]


def install() -> None:
    """Puts every seam in place, once per process."""
    _seam(EngineArgs, "create_engine_config", _create_engine_config)
    _seam(LLMEngine, "add_request", _add_request)
    _seam(AsyncLLM, "add_request", _add_request_async)
    _seam(EngineCore, "preprocess_add_request", _preprocess_add_request)
    _seam(EngineCore, "add_request", _admit)
    _seam(EngineCore, "collective_rpc", _collective_rpc)
    _seam(kv_cache_utils, "generate_block_hash_extra_keys", _block_extra_keys)
    _seam(BaseModelLoader, "load_model", _load_model)


def _seam(owner: Any, name: str, wrap: Callable[[Method], Method]) -> None:
    original = vars(owner)[name]
    if not hasattr(original, _MARK):
        wrapped = functools.wraps(original)(wrap(original))
        setattr(wrapped, _MARK, True)
        setattr(owner, name, wrapped)


# -- configuration -------------------------------------------------------------------------------


def enabled(config: VllmConfig) -> bool:
    """Whether this engine serves variants."""
    extra = config.additional_config
    return isinstance(extra, dict) and CONFIG_KEY in extra


def _create_engine_config(create: Method) -> Method:
    def create_engine_config(
        self: EngineArgs, usage_context: UsageContext | None = None, *args: Any, **kwargs: Any
    ) -> VllmConfig:
        config = create(self, usage_context, *args, **kwargs)
        if enabled(config) or named_in_environment():
            if usage_context == UsageContext.OPENAI_API_SERVER:
                _refuse_deaf_server()
            configure(config)
        return config

    return create_engine_config


def configure(config: VllmConfig) -> None:
    """Enables Lethe on a new engine configuration.

    Raises:
        UnsupportedError: the options are wrong, or a feature is on that variants are not
            exact under; vLLM then does not start.
    """
    extra = config.additional_config
    if not isinstance(extra, dict):
        raise UnsupportedError(
            f"additional_config: expected a dictionary, found {type(extra).__name__}; Lethe keeps "
            "its part of the compile-cache key there"
        )
    options = Options.parse(extra.get(CONFIG_KEY, {}))
    _refuse_unsupported(config)
    config.additional_config = {**extra, CONFIG_KEY: options.compile_key}
    config.parallel_config.worker_extension_cls = WORKER_EXTENSION
    setattr(config, _OPTIONS, options)


def _refuse_deaf_server() -> None:
    """Refuses an HTTP server that would not hear a request name its profile, and serve the base."""
    if not named_in_environment() or envs.VLLM_USE_RUST_FRONTEND:
        raise UnsupportedError(
            "Lethe is enabled on this engine: expected vLLM's Python HTTP server with "
            "VLLM_PLUGINS=lethe in its environment, or 'lethe serve'; any other server ignores "
            "the profile that a request names"
        )


def _refuse_unsupported(config: VllmConfig) -> None:
    parallel, compilation = config.parallel_config, config.compilation_config
    extension = parallel.worker_extension_cls
    refusals = {
        f"the worker extension {extension}: vLLM takes one, and Lethe needs it": (
            extension not in ("", WORKER_EXTENSION)
        ),
        "model runner V2: set VLLM_USE_V2_MODEL_RUNNER=0": config.use_v2_model_runner,
        "CUDA graphs: pass --enforce-eager, or -cc.cudagraph_mode=NONE": (
            compilation.cudagraph_mode not in (None, CUDAGraphMode.NONE)
            and config.device_config.device_type != "cpu"
        ),
        "micro-batching: leave out --enable-dbo": parallel.use_ubatching,
        "tensor, pipeline or data parallelism: run one engine on one device": (
            parallel.world_size > 1 or parallel.data_parallel_size > 1
        ),
        "speculative decoding: leave out --speculative-config": (
            config.speculative_config is not None
        ),
        "LoRA: leave out --enable-lora": config.lora_config is not None,
        "pooling models: serve a generating model": config.model_config.runner_type != "generate",
    }
    found = [reason for reason, present in refusals.items() if present]
    if found:
        raise UnsupportedError(
            "Lethe is enabled on this engine, together with what variants are not verified under "
            f"yet: {'; '.join(found)}"
        )


# -- front end -----------------------------------------------------------------------------------


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
        options: Options = getattr(config, _OPTIONS, Options())
        base = BaseModel.from_checkpoint(config.model_config.model)
        existing = FrontEnd(Catalogue(options.profiles, base))
        setattr(engine, _FRONT_END, existing)
    return existing


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
            params = stamped
        result: str = add(self, request_id, prompt, params, *args, **kwargs)
        return result

    return add_request


def _add_request_async(add: Method) -> Method:
    async def add_request(
        self: Any, request_id: str, prompt: Any, params: Any, *args: Any, **kwargs: Any
    ) -> Any:
        variant = _wanted(self, prompt, params)
        if variant is not None:
            stamped = stamp(params, variant)
            await front_end(self).load_async(variant, self.collective_rpc)
            params = stamped
        return await add(self, request_id, prompt, params, *args, **kwargs)

    return add_request


# -- engine core ---------------------------------------------------------------------------------


def _admission(core: EngineCore) -> Admission:
    if not hasattr(core, _ADMISSION):
        setattr(core, _ADMISSION, Admission())
    admission: Admission = getattr(core, _ADMISSION)
    return admission


def _preprocess_add_request(preprocess: Method) -> Method:
    def preprocess_add_request(self: EngineCore, request: EngineCoreRequest) -> Any:
        if enabled(self.vllm_config):
            params = request.sampling_params
            digest = stamped_digest(params.extra_args if params else None)
            positional = digest is not None and _admission(self).positional(digest)
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
        digest = _digest_of(request)
        if digest is not None:
            try:
                _admission(self).check(digest)
            except UnavailableError:
                # Refuse this request, not the engine: an exception here would end the busy loop.
                if not hasattr(self, "_send_error_outputs_to_client"):
                    raise
                self._send_error_outputs_to_client([request.request_id], request.client_index)
                return
        add(self, request, *args, **kwargs)
        if hasattr(self, _ADMISSION) and _admission(self).has_retiring:
            _unload_unused(self)

    return add_request


def _collective_rpc(call: Method) -> Method:
    def collective_rpc(
        self: EngineCore, method: Any, timeout: Any = None, args: Any = (), kwargs: Any = None
    ) -> Any:
        if method == "lethe_load":
            return _load(self, functools.partial(call, self), args)
        if method == "lethe_unload":
            _admission(self).retire(args[0])
            _unload_unused(self)
            return []
        return call(self, method, timeout, args, kwargs)

    return collective_rpc


def _load(core: EngineCore, call: Method, args: Any) -> Any:
    """Loads on every rank or on none."""
    try:
        replies = call("lethe_load", None, args)
    except Exception:
        call("lethe_unload", None, args[:1])
        raise
    _admission(core).loaded(args[0], any(reply["positional"] for reply in replies))
    return replies


def _unload_unused(core: EngineCore) -> None:
    in_use = {_digest_of(request) for request in core.scheduler.requests.values()}
    for digest in _admission(core).unloadable(in_use):
        core.model_executor.collective_rpc("lethe_unload", None, (digest,))


def _digest_of(request: Any) -> str | None:
    params = request.sampling_params
    return stamped_digest(params.extra_args if params else None)


# -- worker --------------------------------------------------------------------------------------


def _load_model(load: Method) -> Method:
    def load_model(
        self: BaseModelLoader, vllm_config: VllmConfig, model_config: Any, *args: Any, **kwargs: Any
    ) -> Any:
        model = load(self, vllm_config, model_config, *args, **kwargs)
        # Draft models come through here too, with another model_config.
        if enabled(vllm_config) and model_config is vllm_config.model_config:
            _install(model, vllm_config)
        return model

    return load_model


def _install(model: Any, config: VllmConfig) -> None:
    options = Options.parse(config.additional_config[CONFIG_KEY])
    placement = Placement(
        config.model_config.dtype,
        torch.device(config.device_config.device_type),
        Shard(get_tensor_model_parallel_rank(), get_tensor_model_parallel_world_size()),
    )
    num_layers = config.model_config.hf_text_config.num_hidden_layers
    installation.begin(model, options.declared(num_layers), placement)
    _seam(GPUModelRunner, "_update_states", _update_states)
    _seam(GPUModelRunner, "_prepare_inputs", _prepare_inputs)
    _seam(GPUModelRunner, "execute_model", _execute_model)


def dummy_step(worker: Any, tokens: int) -> None:
    """Runs a step of padding through the model as it is served, compiled or not.

    vLLM does the same on data-parallel ranks that have no work; no request's state is touched.
    """
    worker.model_runner._dummy_run(tokens)


def _update_states(update: Method) -> Method:
    def _update_states(self: GPUModelRunner, scheduler_output: Any) -> Any:
        for request_id in scheduler_output.finished_req_ids:
            live.router.finish(request_id)
        for new in scheduler_output.scheduled_new_reqs:
            _start(new)
        return update(self, scheduler_output)

    return _update_states


def _start(new: Any) -> None:
    """Tells the router of a request, or of the next part of one, that enters this worker."""
    digest = _digest_of(new)
    if digest is None or live.bank is None:
        live.router.start(new.req_id)
    else:
        live.router.start(new.req_id, live.bank.keys(digest))


def _batch(batch: Any, counts: Any) -> Batch:
    size = batch.num_reqs
    return Batch(
        batch.req_ids,
        counts,
        batch.num_computed_tokens_cpu[:size],
        batch.num_prompt_tokens[:size],
    )


def _prepare_inputs(prepare: Method) -> Method:
    def _prepare_inputs(self: GPUModelRunner, output: Any, counts: Any) -> Any:
        prepared = prepare(self, output, counts)
        # Here, because `_update_states` has put the batch into its final order.
        live.groups = live.router.route(_batch(self.input_batch, counts))
        return prepared

    return _prepare_inputs


def _execute_model(execute: Method) -> Method:
    def execute_model(self: GPUModelRunner, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(self, *args, **kwargs)
        finally:
            # Dummy and warm-up steps do not route: they must find nothing left over.
            live.groups = ()

    return execute_model
