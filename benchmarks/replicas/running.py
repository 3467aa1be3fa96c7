"""Two servers of the embedded model on one store, each with its share of the cores."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import STDOUT, Popen

from rich.console import Console

from lethe_server import demo

OPTIONS = (
    *("--enforce-eager", "--dtype", "float32", "--max-model-len", "2048"),
    *("--kv-cache-memory-bytes", "512M", "--sites", "block"),
)


@contextmanager
def replicas(store: str, folder: Path, ports: Sequence[int]) -> Iterator[list[demo.Server]]:
    """Starts a server on each port, and stops them at the end.

    Raises:
        LetheError: one did not start.
    """
    cores = sorted(os.sched_getaffinity(0))
    shares = [cores[place :: len(ports)] for place in range(len(ports))]
    objects = (folder / "objects").as_uri()
    with ExitStack() as stack:
        found = []
        for port, share in zip(ports, shares, strict=True):
            options = ["--store", store, "--objects", objects, "--port", str(port), *OPTIONS]
            log = folder / f"{port}.log"
            found.append(stack.enter_context(_replica(options, port, log, share)))
        for server in found:
            demo.wait_until_healthy(server, Console(stderr=True))
        yield found


@contextmanager
def _replica(
    options: Sequence[str], port: int, log: Path, cores: Sequence[int]
) -> Iterator[demo.Server]:
    bound = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores or [0]))}
    with demo.running(options, port, log, {**os.environ, **bound}) as server:
        yield server


def load(
    urls: Sequence[str], profile: str, tokenizer: str, folder: Path, requests: int
) -> "list[Popen[bytes]]":
    """Starts `vllm bench serve` against each server; `result` has what it found when it ended."""
    started = []
    for place, url in enumerate(urls):
        command = [
            *(sys.executable, "-m", "benchmarks.replicas.client", "--base-url", url),
            *("--model", "smollm2", "--tokenizer", tokenizer, "--dataset-name", "random"),
            *("--random-input-len", "32", "--random-output-len", "32", "--ignore-eos"),
            *("--num-prompts", str(requests), "--max-concurrency", "16", "--disable-tqdm"),
            *("--temperature", "0", "--header", f"X-Unlearning-Profile={profile}"),
            *("--save-result", "--result-dir", str(folder), "--result-filename", f"{place}.json"),
        ]
        with (folder / f"{place}.log").open("wb") as output:
            started.append(Popen(command, stdout=output, stderr=STDOUT, cwd=Path.cwd()))
    return started


def ended(clients: "Sequence[Popen[bytes]]", seconds: float) -> bool:
    """Whether all have ended; waits for it so long."""
    deadline = time.monotonic() + seconds
    while any(client.poll() is None for client in clients):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
