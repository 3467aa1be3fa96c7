"""A vLLM that Lethe was not tried with is warned of, and one that it does not know refused."""

from types import SimpleNamespace
from typing import Any

import pytest
from vllm.v1.engine.core import EngineCoreProc
from vllm.v1.engine.core_client import AsyncMPClient
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

from lethe_vllm import compat
from lethe_vllm.compat import configuration
from lethe_vllm.errors import UnsupportedError


def start() -> None:
    """As far as the configuration of an engine with Lethe enabled."""
    compat.install()
    parallel = SimpleNamespace(worker_extension_cls="")
    configuration.configure(SimpleNamespace(additional_config={}, parallel_config=parallel))


@pytest.fixture(autouse=True)
def nothing_else_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "unknown", [])
    monkeypatch.setattr(configuration, "REFUSED", {})


def test_this_version_starts() -> None:
    start()


def test_the_model_runner_of_vllm_0_11_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def _prepare_inputs(self: Any, scheduler_output: Any) -> Any:
        """As vLLM 0.11.0 declares it."""

    monkeypatch.setattr(GPUModelRunner, "_prepare_inputs", _prepare_inputs)
    message = (
        r"GPUModelRunner\._prepare_inputs\(self, scheduler_output, num_scheduled_tokens, \.\.\.\), "
        r"found self, scheduler_output; .*docs/compatibility\.md"
    )
    with pytest.raises(UnsupportedError, match=message):
        start()


def test_the_engine_core_of_vllm_0_17_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(EngineCoreProc, "_send_error_outputs_to_client")
    with pytest.raises(UnsupportedError, match=r"_send_error_outputs_to_client.*found none"):
        start()


def test_a_front_end_that_cannot_ask_each_engine_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(AsyncMPClient, "_call_utility_async")
    with pytest.raises(UnsupportedError, match=r"_call_utility_async.*found none"):
        start()


@pytest.mark.parametrize("version", ["0.29.0", "0.32.0.dev1", "0.99.0"])
def test_an_untried_version_is_warned_of(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [warning] = warnings(version, monkeypatch)
    assert f"this is {version}" in warning


@pytest.mark.parametrize("version", [*compat.TRIED, f"{compat.TRIED[-1]}+cpu"])
def test_a_tried_version_is_not(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings(version, monkeypatch) == []


def warnings(version: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the start of an engine warns of under a version."""
    said: list[str] = []
    logger = SimpleNamespace(warning=lambda text, *values: said.append(text % values))
    monkeypatch.setattr(configuration, "logger", logger)
    monkeypatch.setattr(configuration, "__version__", version)
    start()
    return said
