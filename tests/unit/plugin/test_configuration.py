"""What an engine with Lethe enabled refuses to start with. Stand-ins for vLLM's configuration."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lethe_vllm.compat import REFUSED, configuration
from lethe_vllm.errors import UnsupportedError


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"enable_sleep_mode": False}, False),
        ({"enable_sleep_mode": True}, True),
        # vLLM's sleep frees memory under that allocator, asked for or not.
        ({"enable_sleep_mode": False, "enable_cumem_allocator": True}, True),
    ],
)
def test_what_frees_the_memory_of_profiles_is_refused(
    settings: dict[str, bool], refused: bool
) -> None:
    [present] = [found for reason, found in REFUSED.items() if reason.startswith("sleep mode")]
    config: Any = SimpleNamespace(model_config=SimpleNamespace(**settings))
    assert present(config) is refused


@pytest.mark.parametrize("on", [False, True])
def test_asynchronous_scheduling_is_refused(on: bool) -> None:
    """No engine here can have it: vLLM turns it off on CPUs."""
    [present] = [found for reason, found in REFUSED.items() if reason.startswith("asynchronous")]
    config: Any = SimpleNamespace(scheduler_config=SimpleNamespace(async_scheduling=on))
    assert present(config) is on


@pytest.mark.parametrize(
    ("stored", "refused"), [("auto", False), ("bfloat16", False), ("fp8", True), ("float16", True)]
)
def test_a_kv_cache_in_another_type_is_refused(stored: str, refused: bool) -> None:
    [present] = [found for reason, found in REFUSED.items() if reason.startswith("a KV cache")]
    config: Any = SimpleNamespace(
        model_config=SimpleNamespace(dtype=torch.bfloat16),
        cache_config=SimpleNamespace(cache_dtype=stored),
    )
    assert present(config) is refused


@pytest.mark.parametrize(
    ("row", "name", "found", "refused"),
    [
        ("another worker, ", "worker_cls", "vllm.v1.worker.cpu_worker.CPUWorker", ""),
        ("another worker, ", "worker_cls", "vllm.v1.worker.gpu_worker.Worker", ""),
        ("another worker, ", "worker_cls", "mine.Worker", "mine.Worker"),
        ("another executor", "distributed_executor_backend", None, ""),
        ("another executor", "distributed_executor_backend", "mp", ""),
        ("another executor", "distributed_executor_backend", "ray", "ray"),
        ("another executor", "distributed_executor_backend", "external_launcher", "external_lau"),
    ],
)
def test_what_may_not_route_steps_is_refused(
    row: str, name: str, found: str | None, refused: str
) -> None:
    [present] = [found for reason, found in REFUSED.items() if reason.startswith(row)]
    config: Any = SimpleNamespace(parallel_config=SimpleNamespace(**{name: found}))
    said = present(config)
    assert isinstance(said, str)
    assert (bool(said), said.startswith(refused)) == (bool(refused), True)


@pytest.mark.parametrize("where", ["vllm.entrypoints.launchers", "vllm.entrypoints"])
def test_a_server_that_hears_no_profile_is_refused(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "lethe")
    configuration._refuse_deaf_server()
    monkeypatch.setitem(sys.modules, f"{where}.grpc_server", SimpleNamespace())
    with pytest.raises(UnsupportedError, match="ignores the profile"):
        configuration._refuse_deaf_server()
