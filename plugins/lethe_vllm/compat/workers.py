"""The workers' seams: install sites in a loaded model, and route each step's tokens.

The model runner's are looked at in every process, and put in place only where sites are installed.
"""

from collections.abc import Callable
from typing import Any

import torch
from vllm.config import VllmConfig
from vllm.distributed import get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from vllm.model_executor.model_loader.base_loader import BaseModelLoader
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

from lethe_vllm import installation
from lethe_vllm.compat.configuration import enabled, options
from lethe_vllm.compat.core import digest_of
from lethe_vllm.edit import live
from lethe_vllm.placement import Placement, Shard
from lethe_vllm.routing import Batch
from lethe_vllm.seam import Method, known, seam


def install() -> None:
    """Sites, once a model is loaded."""
    seam(BaseModelLoader, "load_model", "self vllm_config model_config", _load_model)
    for name, (parameters, _) in _runner().items():
        known(GPUModelRunner, name, parameters)
    known(GPUModelRunner, "_dummy_run", "self num_tokens")


def _runner() -> dict[str, tuple[str, Callable[[Method], Method]]]:
    """The seams of model runner V1: parameters, and what wraps."""
    return {
        "_update_states": ("self scheduler_output", _update_states),
        "_prepare_inputs": ("self scheduler_output num_scheduled_tokens", _prepare_inputs),
        "execute_model": ("self scheduler_output", _execute_model),
    }


def _load_model(load: Method) -> Method:
    def load_model(
        self: BaseModelLoader, vllm_config: VllmConfig, model_config: Any, *args: Any, **kwargs: Any
    ) -> Any:
        model = load(self, vllm_config, model_config, *args, **kwargs)
        if enabled(vllm_config) and not _is_draft(vllm_config, model_config):
            _install(model, vllm_config)
        return model

    return load_model


def _is_draft(config: VllmConfig, model_config: Any) -> bool:
    """Whether a model that guesses for the one that is served comes through the loader.

    It may come with the served model's whole configuration, or with one of its own. Methods
    without a model name the served one as the draft.
    """
    drafts = config.speculative_config
    if drafts is None or drafts.draft_model_config is drafts.target_model_config:
        return model_config is not config.model_config
    return model_config is drafts.draft_model_config


def _install(model: Any, config: VllmConfig) -> None:
    placement = Placement(
        config.model_config.dtype,
        torch.device(config.device_config.device_type),
        Shard(get_tensor_model_parallel_rank(), get_tensor_model_parallel_world_size()),
    )
    num_layers = config.model_config.hf_text_config.num_hidden_layers
    chosen = options(config)
    room = installation.Room(
        chosen.bank_bytes,
        config.scheduler_config.max_num_batched_tokens,
        config.model_config.get_hidden_size(),
    )
    installation.begin(model, chosen.declared(num_layers), placement, room)
    if config.use_v2_model_runner:
        _install_v2()
    else:
        for name, (parameters, wrap) in _runner().items():
            seam(GPUModelRunner, name, parameters, _where_enabled(wrap))


def _install_v2() -> None:
    # Here, because that module needs Triton.
    from vllm.v1.worker.gpu.model_runner import GPUModelRunner as GPUModelRunnerV2

    for name, parameters, wrap in (
        ("finish_requests", "self scheduler_output", _finish_requests_v2),
        ("add_requests", "self scheduler_output", _add_requests_v2),
        ("prepare_inputs", "self scheduler_output", _prepare_inputs_v2),
        ("execute_model", "self scheduler_output", _execute_model),
    ):
        seam(GPUModelRunnerV2, name, parameters, _where_enabled(wrap))


def _where_enabled(wrap: Callable[[Method], Method]) -> Callable[[Method], Method]:
    """Leaves alone the runner of an engine beside, in the same process, that has no Lethe."""

    def wrapped(method: Method) -> Method:
        ours = wrap(method)

        def chosen(self: Any, *args: Any, **kwargs: Any) -> Any:
            return (ours if enabled(self.vllm_config) else method)(self, *args, **kwargs)

        return chosen

    return wrapped


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
    digest = digest_of(new)
    if digest is None or live.bank is None:
        live.router.start(new.req_id)
    else:
        live.router.start(new.req_id, live.bank.slots(digest))


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
        _begin(live.router.route(_batch(self.input_batch, counts)))
        return prepared

    return _prepare_inputs


def _finish_requests_v2(finish: Method) -> Method:
    def finish_requests(self: Any, scheduler_output: Any) -> Any:
        for request_id in scheduler_output.finished_req_ids:
            live.router.finish(request_id)
        return finish(self, scheduler_output)

    return finish_requests


def _add_requests_v2(add: Method) -> Method:
    def add_requests(self: Any, scheduler_output: Any) -> Any:
        for new in scheduler_output.scheduled_new_reqs:
            _start(new)
        return add(self, scheduler_output)

    return add_requests


def _prepare_inputs_v2(prepare: Method) -> Method:
    def prepare_inputs(self: Any, *args: Any, **kwargs: Any) -> Any:
        batch = prepare(self, *args, **kwargs)
        found = Batch(
            batch.req_ids,
            batch.num_scheduled_tokens,
            # With drafts under way the host knows an upper bound; past the prompt any does.
            batch.num_computed_tokens_np,
            self.req_states.prompt_len.np[batch.idx_mapping_np],
        )
        _begin(live.router.route(found))
        return batch

    return prepare_inputs


def _begin(per_token: Any) -> None:
    if live.bank is not None:
        live.bank.begin(per_token)


def _execute_model(execute: Method) -> Method:
    def execute_model(self: GPUModelRunner, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(self, *args, **kwargs)
        finally:
            # Dummy and warm-up steps do not route: they must find nothing left over.
            _begin(None)

    return execute_model
