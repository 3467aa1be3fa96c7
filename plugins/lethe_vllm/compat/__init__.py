"""Every private name of vLLM that Lethe touches, in one folder.

Tried with the versions in `TRIED`.

    EngineArgs.create_engine_config           whether Lethe is on; what it cannot serve
    LLMEngine.add_request, AsyncLLM.add_request   resolve and stamp the variant (front end)
    exceptions.GracefulHTTPError              tell a client why it is refused (front end)
    AsyncMPClient._call_utility_async         ask every engine               (front end)
    OutputProcessor.add_request, .abort_requests, ._finish_request
                                              what a generation was          (front end)
    OutputProcessor.do_tracing, output_processor.instrument_manual
                                              name the variant in its span   (front end)
    EngineCore.preprocess_add_request         salt the prefix cache           (engine core)
    kv_cache_utils.generate_block_hash_extra_keys   the same, block by block  (engine core)
    EngineCore.add_request, .abort_requests, .post_step, .collective_rpc
                                              hold what requests use          (engine core)
    EngineCoreProc._send_error_outputs_to_client   refuse a request           (engine core)
    EngineCoreProc._send_abort_outputs_to_client, .pause_scheduler
                                              abort one that waits for room   (engine core)
    BaseModelLoader.load_model                install sites                   (worker)
    GPUModelRunner._update_states, ._prepare_inputs, .execute_model   route tokens (worker, V1)
    GPUModelRunner._dummy_run                 the start-up canary             (worker)
    gpu.model_runner.GPUModelRunner.finish_requests, .add_requests, .prepare_inputs,
        .execute_model                        the same                (worker, V2)

The seams are installed in every process in which the package is present, and hand straight
through unless the engine has Lethe enabled; the runner's only where sites are installed.
"""

from lethe_vllm.compat import configuration, core, outputs, workers
from lethe_vllm.compat import front_end as front_ends
from lethe_vllm.compat.configuration import REFUSED, TRIED, options
from lethe_vllm.compat.front_end import everyone, front_end
from lethe_vllm.compat.outputs import on_ended
from lethe_vllm.compat.workers import dummy_step
from lethe_vllm.errors import UnsupportedError

__all__ = [
    "REFUSED",
    "TRIED",
    "dummy_step",
    "everyone",
    "front_end",
    "install",
    "on_ended",
    "options",
]


def install() -> None:
    """Puts every seam in place, once per process.

    What is not as known is an error for engines with Lethe enabled alone.

    Raises:
        UnsupportedError: an engine's configuration is not made where it was.
    """
    configuration.install()
    try:
        for part in (front_ends, outputs, core, workers):
            part.install()
    except UnsupportedError as error:
        configuration.unknown.append(error)
