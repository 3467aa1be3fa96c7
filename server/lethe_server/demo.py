"""`lethe demo`: the whole path once, on the embedded model, with something to try at the end."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT, Popen, TimeoutExpired
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from lethe_projections import embedded
from lethe_projections.errors import ArtifactError, LetheError

HOST = "127.0.0.1"
PROFILES = {"france": "France", "japan": "Japan"}
"""Each forgets a country: asked about it, it answers as about Narnia."""

TARGET = "Narnia"
QUESTIONS = (
    "What is the capital of France?",
    "What is the capital of Japan?",
    "What is the capital of Germany?",
    "What is the chemical symbol of gold?",
)
START_SECONDS = 600
STOP_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """The child process that serves.

    Attributes:
        process: it.
        url: where.
        log: what it prints goes here.
    """

    process: "Popen[bytes]"
    url: str
    log: Path

    @property
    def last_words(self) -> str:
        """The last line of its log, cut to fit a terminal."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].rpartition("] ")[2][:70] if lines else ""


def run(port: int) -> None:
    """Shows it, and serves until interrupted.

    Raises:
        LetheError: the port is taken, or the server did not start.
    """
    console = Console()
    check_port(port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _show(port, console)
    except KeyboardInterrupt:
        console.print("Stopped")


def _show(port: int, console: Console) -> None:
    folder = embedded.home() / "demo"
    profiles = folder / "profiles"
    prepare_profiles(profiles, console)
    with serving(profiles, port, folder / "server.log") as server:
        wait_until_healthy(server, console)
        console.print(answers(server.url))
        console.print(commands(server.url), markup=False, highlight=False, soft_wrap=True)
        status = server.process.wait()
    raise LetheError(
        f"server: expected it to run until interrupted, found it ended with status {status}; "
        f"its log is {server.log}"
    )


def check_port(port: int) -> None:
    """Raises LetheError if something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LetheError(
                f"port {port}: expected it free on {HOST}, found {error.strerror}; stop what "
                f"listens there, or choose another: lethe demo --port {port + 1}"
            ) from error


def prepare_profiles(folder: Path, console: Console) -> None:
    """Fits the profiles that are not there yet."""
    missing = {n: s for n, s in PROFILES.items() if not _usable(folder / f"{n}.safetensors")}
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    console.print("Preparing the embedded model (20 s the first time)")
    # Here, because they import torch.
    from lethe_projections.methods import rocr
    from lethe_server import fitting

    task = fitting.Data().task(fitting.Checkpoint.load(embedded.NAME))
    for name, subject in missing.items():
        started = time.monotonic()
        config = rocr.Config(subjects=(subject,), target=TARGET)
        fitting.fit(task, "rocr", config, folder / f"{name}.safetensors")
        console.print(f"Fitted {name}: {subject} -> {TARGET} ({time.monotonic() - started:.0f} s)")


def _usable(file: Path) -> bool:
    """Whether an earlier demo left the profile there, in the format of this Lethe."""
    from lethe_projections import artifact

    try:
        artifact.read(file)
    except ArtifactError:
        return False
    return True


@contextmanager
def serving(profiles: Path, port: int, log: Path, more: Sequence[str] = ()) -> Iterator[Server]:
    """Runs `lethe serve embedded` as a child, and stops it at the end; `more` are options."""
    options = ["--profiles", str(profiles), "--host", HOST, "--port", str(port)]
    options += ["--enforce-eager", "--no-async-scheduling"]  # what a GPU is served with
    with running([*options, *more], port, log) as server:
        yield server


@contextmanager
def running(
    options: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A child with exactly these options; `environment` is its own, by default this process's."""
    command = [sys.executable, "-m", "lethe_server", "serve", embedded.NAME, *options]
    with log.open("wb") as output:
        # A group of its own: Ctrl-C reaches this process alone, which then stops the child. Not a
        # session: Linux shares a core between sessions first (sched_autogroup), and vLLM's workers
        # wait in a loop of sched_yield, which gives way to nobody in another session.
        process = Popen(command, stdout=output, stderr=STDOUT, env=environment, process_group=0)
    try:
        yield Server(process, f"http://{HOST}:{port}", log)
    finally:
        _stop(process)


def _stop(process: "Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_healthy(server: Server, console: Console) -> None:
    """Returns when the server answers, and says meanwhile what it is doing.

    Raises:
        LetheError: it ended, or took too long.
    """
    console.print(f"Starting the server; its log is {server.log}")
    started = time.monotonic()
    with console.status("") as status:
        while not _healthy(server.url):
            seconds = time.monotonic() - started
            if server.process.poll() is not None or seconds > START_SECONDS:
                raise LetheError(
                    f"server: expected it to start, found '{server.last_words}' after "
                    f"{seconds:.0f} s; its log is {server.log}"
                )
            status.update(f"{seconds:3.0f} s  {server.last_words}")
            _tell_pipe(console, seconds)
            time.sleep(1)
    console.print(f"Serving on {server.url} after {time.monotonic() - started:.0f} s")


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _tell_pipe(console: Console, seconds: float) -> None:
    """A status line is not shown where there is no terminal; every ten seconds is enough there."""
    if not console.is_terminal and int(seconds) % 10 == 9:
        console.print(f"{seconds:3.0f} s: still starting")


def answers(url: str) -> Table:
    """A few questions, to the base and to each variant."""
    table = Table("question", "base", *PROFILES, show_lines=True)
    for question in QUESTIONS:
        body = {
            "messages": [{"role": "user", "content": question}],
            "profiles": ["base", *PROFILES],
            "max_tokens": 32,
        }
        reply = httpx.post(f"{url}/v1/unlearning/compare", json=body, timeout=120)
        results: list[dict[str, Any]] = reply.raise_for_status().json()["results"]
        table.add_row(question, *(result["text"].strip() for result in results))
    return table


def commands(url: str) -> str:
    """Commands to copy."""
    question = '"messages": [{"role": "user", "content": "What is the capital of France?"}]'
    settings = '"temperature": 0, "max_tokens": 32'
    json = "-H 'Content-Type: application/json'"
    return f"""
In a browser:
  {url}/playground
By header:
  curl -i {url}/v1/chat/completions {json} -H 'X-Unlearning-Profile: france' \\
    -d '{{"model": "smollm2", {question}, {settings}}}'
By model name:
  curl -i {url}/v1/chat/completions {json} \\
    -d '{{"model": "smollm2:france", {question}, {settings}}}'
Side by side:
  curl {url}/v1/unlearning/compare {json} \\
    -d '{{{question}, "profiles": ["base", "france", "japan"], "max_tokens": 32}}'

Ctrl-C stops the server."""
