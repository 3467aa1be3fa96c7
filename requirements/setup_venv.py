"""Makes `.venv` hold what the CPU lock says, and the project itself, editable: `make setup`.

`make setup VLLM=0.31.0` does so with `.venv-vllm-0.31.0` and the locks of that version.

Runs on a bare Python 3.11. It can be interrupted at any moment and run again: what is whole is
kept, what is not is installed anew. When nothing has changed it takes about a second. It knows
nothing about GPUs: there, install `vllm-lethe[gpu]` with pip.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from importlib.metadata import Distribution
from pathlib import Path

from installed import (
    LOCK,
    PROJECT,
    PYTHON,
    ROOT,
    SITE,
    TORCH_COMPANIONS,
    TORCH_LOCK,
    VENV,
    VLLM,
    faults,
    installed,
    interpreter,
    is_whole,
    read_pins,
)

STAMP = VENV / "setup.sha256"
LOG = VENV / "setup.log"
PYTORCH_INDEX = "https://download.pytorch.org/whl/cpu"
SMOKE = "import torch, vllm._C, vllm.entrypoints.openai.api_server"
REPORT_EVERY_S = 5.0


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def main() -> int:
    """Brings `.venv` up to date and returns the exit status."""
    started = time.monotonic()
    try:
        refuse_what_the_lock_does_not_cover()
        with LOCK.open() as one_setup_at_a_time:
            fcntl.flock(one_setup_at_a_time, fcntl.LOCK_EX)
            state = bring_up_to_date()
    except SetupError as error:
        print(f"setup failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup interrupted; `make setup` goes on from here", file=sys.stderr)
        return 130
    print(f"setup: {state} ({time.monotonic() - started:.1f} s)", flush=True)
    return 0


def refuse_what_the_lock_does_not_cover() -> None:
    """Raises SetupError on an interpreter, machine or vLLM for which there is no lock."""
    if not LOCK.is_file():
        raise SetupError(
            f"vLLM {VLLM}: expected {LOCK.relative_to(ROOT)}, found none; 'make lock VLLM={VLLM}' "
            "writes it"
        )
    here = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{sys.platform} {platform.machine()}"
    if not here.startswith("CPython 3.11.") or machine != "linux x86_64":
        raise SetupError(
            f"the CPU lock is for CPython 3.11 on linux x86_64, and this is {here} on {machine}. "
            "Run `make setup PYTHON=/path/to/python3.11`; on a GPU machine, "
            "`pip install '.[gpu]'` needs no lock."
        )


def bring_up_to_date() -> str:
    """Does what is missing, and returns how `.venv` stands."""
    pins = read_pins()
    known_good = STAMP.is_file() and not any(faults(pins))
    if known_good and STAMP.read_text() == fingerprint():
        return f"{VENV.name} is up to date"
    STAMP.unlink(missing_ok=True)
    make_venv()
    discard_incomplete()
    install_torch(pins["torch"])
    install_lock(pins)
    remove_companions()
    run("project", f"installing {PROJECT}, editable", install("--no-build-isolation", "-e", "."))
    if remaining := list(faults(pins)):
        raise SetupError(f"{VENV.name} still differs from the lock: {', '.join(remaining)}")
    if not known_good:
        check_imports()
    STAMP.write_text(fingerprint())
    return f"{VENV.name} holds the {len(pins)} locked distributions and {PROJECT}"


def check_imports() -> None:
    """Imports torch, vLLM's server and its compiled part.

    Raises:
        SetupError: they cannot be imported.
    """
    try:
        run("check", "importing torch and vllm", (PYTHON, "-c", SMOKE))
    except SetupError as error:
        if "libnuma.so.1" not in LOG.read_text():
            raise
        raise SetupError(f"{error}\nOn Debian: apt-get install libnuma1") from error


def fingerprint() -> str:
    """Digest of all that set-up depends on."""
    digest = hashlib.sha256(interpreter().encode())
    for path in (LOCK, TORCH_LOCK, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_venv() -> None:
    """Makes the virtual environment, unless one that works is there."""
    if interpreter().startswith("3.11."):
        return
    print(f"  venv: making {VENV.name} with Python {platform.python_version()}", flush=True)
    try:
        venv.create(VENV, clear=True, with_pip=True)
    except subprocess.CalledProcessError as error:
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment with pip ({error}). "
            "On Debian: apt-get install python3-venv"
        ) from error


def discard_incomplete() -> None:
    """Forgets half-installed distributions, so that pip installs them again over the remains."""
    for info in SITE.glob("*.dist-info"):
        if not is_whole(Distribution.at(info)):
            print(f"  repair: {info.stem} is incomplete, installing it again", flush=True)
            shutil.rmtree(info)


def install_torch(version: str) -> None:
    """Installs the CPU build from the configured package indexes, else from PyTorch's own."""
    have = installed().get("torch")
    if have is not None and have.version == version:
        return
    command = install("--no-compile", "-r", TORCH_LOCK)
    try:
        run("torch", f"installing torch {version}", command)
    except SetupError:
        if "No matching distribution" not in LOG.read_text():
            raise
        print(f"  torch: no configured package index has {version}; asking {PYTORCH_INDEX}")
        run("torch", f"installing torch {version}", [*command, "--index-url", PYTORCH_INDEX])


def install_lock(pins: dict[str, str]) -> None:
    """Installs the lock, and nothing that it does not list."""
    found = installed()
    wanting = [name for name in pins if name not in found or found[name].version != pins[name]]
    if wanting:
        # Byte-compiling in pip adds a minute for files of which the engine imports a quarter;
        # Python compiles those when it first meets them.
        command = install("--no-compile", "--require-hashes", "-r", LOCK)
        run("lock", f"installing {len(wanting)} distributions", command, goal=len(pins))


def remove_companions() -> None:
    """Removes builds for another torch that something else has brought in."""
    for name in sorted(TORCH_COMPANIONS & installed().keys()):
        command = (PYTHON, "-m", "pip", "uninstall", "--yes", name)
        run("repair", f"removing {name}, built for another torch", command)


def install(*arguments: str | Path) -> list[str | Path]:
    """Returns the command by which the environment's own pip installs just what it is told."""
    plain = ("--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar=off")
    return [PYTHON, "-m", "pip", "install", *plain, *arguments]


def run(part: str, title: str, command: Sequence[str | Path], goal: int = 0) -> None:
    """Runs one command with its output in the log, saying every few seconds how far it is."""
    started = time.monotonic()
    print(f"  {part}: {title}", flush=True)
    with LOG.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            while (status := wait(process)) is None:
                seconds = time.monotonic() - started
                print(f"  {part}: {progress(goal)}{seconds:.0f} s", flush=True)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if status != 0:
        last_lines = "\n".join(LOG.read_text().splitlines()[-20:])
        raise SetupError(f"{title} ended with status {status}. All of it: {LOG}\n{last_lines}")
    print(f"  {part}: done in {time.monotonic() - started:.1f} s", flush=True)


def wait(process: subprocess.Popen[bytes]) -> int | None:
    """Returns the exit status, or None where the process still runs after a few seconds."""
    try:
        return process.wait(REPORT_EVERY_S)
    except subprocess.TimeoutExpired:
        return None


def progress(goal: int) -> str:
    """Counts what pip has found so far and what it has unpacked."""
    if not goal:
        return ""
    # pip says "Processing" of a file that lies on this machine.
    found = len(re.findall("^(?:Collecting|Processing) ", LOG.read_text(), re.MULTILINE))
    unpacked = sum(1 for _ in SITE.glob("*.dist-info"))
    return f"{found} found, {min(unpacked, goal)} of {goal} unpacked, "


if __name__ == "__main__":
    sys.exit(main())
