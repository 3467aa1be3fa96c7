"""One replica over several machines, by vLLM's own multi-node support without Ray.

The machines are processes of this one that share neither memory nor a process tree, and speak to
each other over TCP as machines do.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lethe_projections.base_model import BaseModel

from .conftest import ENGINE, alone, free_port, lock_beside, started, stop
from .profiles import synthetic
from .server import API_KEY, QUESTION, Server

TOLERANCE = 1e-3
STEP_SECONDS = 30
"""After which a step that a machine does not take part in ends the server."""
BODY = {"model": "smollm2", "prompt": QUESTION, "temperature": 0, "max_tokens": 12, "logprobs": 5}

pytestmark = pytest.mark.timeout(600)


@contextmanager
def machines(folder: Path, number: int, *layout: str) -> Iterator[tuple[Server, list[int]]]:
    """The first machine's server, and the process of each other one."""
    cores = sorted(os.sched_getaffinity(0))
    together = (
        *ENGINE, *layout, "--distributed-executor-backend", "mp", "--nnodes", str(number),
        *("--master-addr", "127.0.0.1", "--master-port", str(free_port())),
    )  # fmt: skip

    def variables(rank: int) -> dict[str, str]:
        core = str(cores[rank % len(cores)])
        return {
            "VLLM_CPU_OMP_THREADS_BIND": core,
            "VLLM_HOST_IP": "127.0.0.1",
            "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": str(STEP_SECONDS),
        }

    with ExitStack() as stack:
        stack.enter_context(alone(lock_beside(folder.parent)))
        others = []
        for rank in range(1, number):
            log = stack.enter_context((folder / f"{rank}.log").open("wb"))
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "lethe_server", "serve", "embedded", *together),
                    *("--node-rank", str(rank), "--headless"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables(rank)},
                process_group=0,
            )
            stack.callback(stop, process)
            others.append(process.pid)
        first = started(folder, *together, "--node-rank", "0", "--api-key", API_KEY, **variables(0))
        yield stack.enter_context(first), others


def likeliest(server: Server, profile: str) -> list[dict[str, float]]:
    reply = server.post("/v1/completions", BODY, profile)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, float]] = reply.json()["choices"][0]["logprobs"]["top_logprobs"]
    return found


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(abs(a[token] - b[token]) < TOLERANCE for token in a)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(
    ("number", "layout"),
    [
        pytest.param(2, "pipeline", marks=pytest.mark.path("several machines, pipeline parallel")),
        pytest.param(3, "tensor", marks=pytest.mark.path("several machines, tensor parallel")),
    ],
)
def test_several_machines_answer_as_one_and_not_at_all_without_one_of_them(
    number: int, layout: str, server: Server, base: BaseModel, tmp_path: Path
) -> None:
    parallel = (f"--{layout}-parallel-size", str(number))
    with machines(tmp_path, number, *parallel) as (several, others):
        assert several.put("alpha", synthetic(base, 1)).status_code == 201
        found = {name: likeliest(several, name) for name in ("base", "alpha")}
        expected = {name: likeliest(server, name) for name in ("base", "alpha")}
        assert not same(found["base"], found["alpha"]), "this test would prove nothing"
        for name, answer in found.items():
            assert same(answer, expected[name]), name
        assert several.chat(QUESTION, "nobody").status_code == 404
        assert several.get("/health").status_code == 200
        for other in others:
            os.killpg(other, signal.SIGKILL)
        # Nobody says that a machine is gone: a step that does not end does.
        with pytest.raises((AssertionError, httpx.TransportError)):
            several.answer(QUESTION, "alpha")
        with pytest.raises((AssertionError, httpx.TransportError)):
            assert several.get("/health").status_code == 200
