"""Whether an engine has Lethe enabled, with what options, and what it must not be combined with."""

import logging
import sys
from collections.abc import Callable
from typing import Any

from vllm import __version__, envs
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.usage.usage_lib import UsageContext

from lethe_vllm.compat import quantisation
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.options import CONFIG_KEY, Options, Travelling, named_in_environment
from lethe_vllm.seam import Method, seam

logger = logging.getLogger("vllm.lethe")

WORKER_EXTENSION = "lethe_vllm.worker.LetheWorker"

TRIED = ("0.30.0", "0.31.0", "0.32.0")
"""Versions of vLLM that `make test-versions` passes under."""

unknown: list[UnsupportedError] = []
"""What of this vLLM is not as Lethe knows it, told when an engine is to have Lethe enabled."""


def install() -> None:
    """Whether Lethe is on is decided where an engine's configuration is made."""
    seam(EngineArgs, "create_engine_config", "self usage_context", _create_engine_config)


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
    if unknown:
        raise unknown[0]
    _warn_of_version()
    chosen = Options.parse(extra.get(CONFIG_KEY, {}))
    _refuse_unsupported(config)
    config.additional_config = {**extra, CONFIG_KEY: Travelling(chosen)}
    config.parallel_config.worker_extension_cls = WORKER_EXTENSION


def _warn_of_version() -> None:
    if __version__.partition("+")[0] not in TRIED:
        logger.warning(
            "Lethe was tried with vLLM %s, and this is %s; its methods are those that Lethe knows, "
            "but run the tests of Lethe with it before relying on it",
            ", ".join(TRIED), __version__,
        )  # fmt: skip


def options(config: VllmConfig) -> Options:
    """The options that `configure` read, which travel with the configuration.

    Raises:
        UnsupportedError: they did not.
    """
    extra = config.additional_config
    found = extra.get(CONFIG_KEY) if isinstance(extra, dict) else None
    if not isinstance(found, Travelling):
        raise UnsupportedError(
            "expected Lethe's options on this process's engine configuration, found none: it was "
            "made anew on its way here; report this with the command that started the engine"
        )
    return found.options


def _refuse_deaf_server() -> None:
    """Refuses an HTTP server that would not hear a request name its profile, and serve the base."""
    if not named_in_environment() or envs.VLLM_USE_RUST_FRONTEND or _serves_grpc():
        raise UnsupportedError(
            "Lethe is enabled on this engine: expected vLLM's Python HTTP server with "
            "VLLM_PLUGINS=lethe in its environment, or 'lethe serve'; any other server ignores "
            "the profile that a request names"
        )


def _serves_grpc() -> bool:
    """Whether this process is vLLM's gRPC server, whose module no other imports."""
    found = (name for name in sys.modules if name.startswith("vllm.entrypoints."))
    return any(name.endswith(".grpc_server") for name in found)


def _cuda_graphs(config: VllmConfig) -> bool:
    mode, device = config.compilation_config.cudagraph_mode, config.device_config.device_type
    return mode not in (None, CUDAGraphMode.NONE) and device != "cpu"


def _frees_memory(config: VllmConfig) -> bool:
    model = config.model_config
    # With that allocator 'LLM.sleep' frees memory, whether sleep mode was asked for or not.
    return model.enable_sleep_mode or getattr(model, "enable_cumem_allocator", False)


def _other_cache_type(config: VllmConfig) -> bool:
    own = str(config.model_config.dtype).removeprefix("torch.")
    return config.cache_config.cache_dtype not in ("auto", own)


WORKERS = ("vllm.v1.worker.cpu_worker.CPUWorker", "vllm.v1.worker.gpu_worker.Worker")
"""Classes of workers whose steps are known to be routed."""


def _other_worker(config: VllmConfig) -> str:
    found = config.parallel_config.worker_cls
    return "" if found in WORKERS else str(found)


def _other_executor(config: VllmConfig) -> str:
    found = config.parallel_config.distributed_executor_backend
    return "" if found in (None, "uni", "mp") else str(found)


REFUSED: dict[str, Callable[[VllmConfig], bool | str]] = {
    "another worker extension, of which vLLM takes one: leave out --worker-extension-cls": (
        lambda config: config.parallel_config.worker_extension_cls not in ("", WORKER_EXTENSION)
    ),
    "another worker, whose steps may not be routed: leave out --worker-cls": _other_worker,
    "another executor, whose calls may overtake its steps: pass --distributed-executor-backend mp, "
    "or leave it out": _other_executor,
    "CUDA graphs: pass --enforce-eager, or -cc.cudagraph_mode=NONE": _cuda_graphs,
    "asynchronous scheduling, which vLLM has on GPUs alone: pass --no-async-scheduling": (
        lambda config: bool(config.scheduler_config.async_scheduling)
    ),
    "micro-batching, which cuts a step's batch: leave out --enable-dbo": (
        lambda config: config.parallel_config.use_ubatching
    ),
    "prefill context parallelism, which cuts prompts over ranks: leave out "
    "--prefill-context-parallel-size": (
        lambda config: config.parallel_config.prefill_context_parallel_size > 1
    ),
    "decode context parallelism: leave out --decode-context-parallel-size": (
        lambda config: config.parallel_config.decode_context_parallel_size > 1
    ),
    "expert parallelism: leave out --enable-expert-parallel": (
        lambda config: config.parallel_config.enable_expert_parallel
    ),
    f"quantised models, but for dense ones on a CPU that are {', '.join(quantisation.SHOWN)}: "
    "serve the model as one of these, or in bfloat16, float16 or float32": quantisation.not_shown,
    "sleep mode, which vLLM has on GPUs alone, and whose level 2 discards the memory that profiles "
    "lie in: leave out --enable-sleep-mode and --enable-cumem-allocator": _frees_memory,
    "adaptive verification of drafts, where the device alone knows whose token is whose: leave it "
    "out of --speculative-config": (
        lambda config: getattr(config.speculative_config, "enable_adaptive_verification", False)
    ),
    "a KV cache in another type than the model's: leave out --kv-cache-dtype": _other_cache_type,
    "fast prefill, which runs some layers on some tokens: leave out --kv-sharing-fast-prefill": (
        lambda config: config.cache_config.kv_sharing_fast_prefill
    ),
    "KV transfer, whose stores may not know whose variant a KV block is: leave out "
    "--kv-transfer-config": lambda config: config.kv_transfer_config is not None,
    "pooling models: serve a generating model": (
        lambda config: config.model_config.runner_type != "generate"
    ),
}
"""What variants would not be exact under, or are not verified under, and what to do about it.

Whether it is there, or in a word what of it.
"""


def _refuse_unsupported(config: VllmConfig) -> None:
    found = [_told(reason, present(config)) for reason, present in REFUSED.items()]
    if any(found):
        raise UnsupportedError(
            "Lethe is enabled on this engine, together with what variants are not exact under: "
            f"{'; '.join(filter(None, found))}"
        )


def _told(reason: str, present: bool | str) -> str:
    path, _, remedy = reason.partition(": ")
    if isinstance(present, str) and present:
        return f"{path} (found {present}): {remedy}"
    return reason if present else ""
