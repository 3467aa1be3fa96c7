"""Parts of `cpu.lock`, each a file of its own: what an image serves with, what builds the wheel.

Knows requirements and names, and neither pip nor an environment: what each distribution requires is
told it, by pip's report when the lock is written and by installed metadata when it is tested.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement

from installed import ROOT, normalise

IMAGE_EXTRAS = ("cpu", "embedded", "postgresql")
"""Of the CPU image. What attacks and reports need is not served with."""


def roots() -> dict[str, list[Requirement]]:
    """Returns what each subset starts from, by the name of its file, as pyproject.toml has it."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    image = list(project["dependencies"])
    for extra in IMAGE_EXTRAS:
        image += project["optional-dependencies"][extra]
    texts = {"runtime.lock": image, "build.lock": pyproject["build-system"]["requires"]}
    return {file: [Requirement(text) for text in found] for file, found in texts.items()}


def reached(start: Iterable[Requirement], requires: Mapping[str, Iterable[str]]) -> set[str]:
    """Returns the names of all that `start` leads to on this platform.

    Args:
        start: what is asked for.
        requires: for each distribution of the lock, what its metadata requires. What is not in it
            was left out of the lock on purpose, and leads nowhere.
    """
    waiting = list(start)
    seen: dict[str, set[str]] = {}
    while waiting:
        requirement = waiting.pop()
        name = normalise(requirement.name)
        known = seen.get(name)
        if name not in requires or (known is not None and requirement.extras <= known):
            continue
        seen[name] = (known or set()) | requirement.extras
        waiting += applying(requires[name], seen[name])
    return set(seen)


def applying(texts: Iterable[str], extras: Iterable[str]) -> list[Requirement]:
    """Returns those requirements that hold on this platform, given the extras asked for."""
    every = [Requirement(text) for text in texts]
    contexts = [{"extra": extra} for extra in ("", *extras)]
    return [one for one in every if one.marker is None or any(map(one.marker.evaluate, contexts))]


def write(
    folder: Path, header: str, lines: Mapping[str, str], requires: Mapping[str, Iterable[str]]
) -> None:
    """Writes each subset beside the lock.

    Args:
        folder: where.
        header: the first lines of each file.
        lines: the lock's line of each distribution but torch, which has a file of its own.
        requires: as in `reached`.
    """
    for file, start in roots().items():
        names = sorted(reached(start, requires) & lines.keys())
        (folder / file).write_text(header + "".join(lines[name] for name in names))
