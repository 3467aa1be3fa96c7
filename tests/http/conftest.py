"""One real server for all tests of this folder: `lethe serve embedded`, eager, in float32."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from lethe_projections import embedded
from lethe_projections.base_model import BaseModel

from .profiles import fitted, synthetic
from .server import API_KEY, Server

START_SECONDS = 300

ENGINE = [
    *("--sites", "block,mlp,down_proj"),
    *("--enforce-eager", "--dtype", "float32", "--max-model-len", "2048"),
    *("--kv-cache-memory-bytes", "512M", "--enable-prompt-tokens-details"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
]
OPTIONS = [*ENGINE, "--api-key", API_KEY]


@pytest.fixture(scope="session")
def base() -> BaseModel:
    return BaseModel.from_checkpoint(embedded.prepare())


@pytest.fixture(scope="package")
def server(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Holds the profiles france, alpha and beta; tests add others and leave these alone."""
    folder = tmp_path_factory.mktemp("server")
    with started(folder, "--profiles", str(three_profiles(folder, base)), *OPTIONS) as found:
        yield found


def three_profiles(folder: Path, base: BaseModel) -> Path:
    """A folder with france, alpha and beta, below another."""
    profiles = folder / "profiles"
    profiles.mkdir()
    (profiles / "france.safetensors").write_bytes(fitted(folder))
    for seed, name in enumerate(["alpha", "beta"], 1):
        (profiles / f"{name}.safetensors").write_bytes(synthetic(base, seed))
    return profiles


@contextmanager
def started(folder: Path, *options: str, **environment: str) -> Iterator[Server]:
    """`lethe serve embedded` with a log in `folder` and a cache beside it, stopped on exit."""
    port = free_port()
    variables = {
        **os.environ,
        # Nothing is compiled here, so what servers share is only what vLLM finds out of its models.
        "VLLM_CACHE_ROOT": str(folder.parent / "cache"),
        "VLLM_ENABLE_RESPONSES_API_STORE": "1",
        **environment,
    }
    command = [sys.executable, "-m", "lethe_server", "serve", "embedded", "--port", str(port)]
    log = folder / "server.log"
    with ExitStack() as stack:
        if "--data-parallel-size" in options:
            stack.enter_context(alone(lock_beside(folder.parent)))
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [*command, *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            # Not a session of its own: see lethe_server.demo.
            process_group=0,
        )
        stack.callback(stop, process)
        found = Server(f"http://127.0.0.1:{port}", log, process.pid)
        _wait(found, process)
        yield found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def an_engine_more(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For a test that starts an engine itself, beside the server of all."""
    with alone(lock_beside(tmp_path_factory.getbasetemp())):
        yield


def lock_beside(folder: Path) -> Path:
    """The lock of all test processes, of a test process's own folder."""
    return folder.parent / "several-engines.lock"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One test process at a time: two that start more engines at once take over 22 GB."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _wait(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{server.url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    pytest.fail(f"the server did not start:\n{server.tail(100)}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends a server, as a group where it does not end by itself."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
            return
        except subprocess.TimeoutExpired:
            pass
    # The group is the server's own: it leads it, and its engine is in it.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    """Shows the end of the server's log with a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("server log", server.tail(200)))
    return report
