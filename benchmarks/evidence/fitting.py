"""Makes a profile, once: the artifact is kept under what it was made from."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.evidence import request
from benchmarks.evidence.candidates import Candidate
from benchmarks.methods import store
from benchmarks.methods.fitting import code_digest
from lethe_projections import artifact, examples, methods
from lethe_projections.base_model import BaseModel
from lethe_projections.evaluation.suite import Item
from lethe_projections.examples import Example
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_projections.task import Task
from lethe_server.fitting import Checkpoint

CONTROL = {"nothing": 0.0, "noise": 1.0}
"""How much is added of what a control adds."""

SITE, RANK, SEED = Site(12, "block"), 8, 3


@dataclass(frozen=True)
class Made:
    """A profile and what it cost.

    Attributes:
        path: the artifact.
        digest: its sha256.
        seconds: of the fit alone, in one thread.
        rank, bytes: the largest at a site, and of the file.
    """

    path: Path
    digest: str
    seconds: float
    rank: int
    bytes: int


def made(
    candidate: Candidate,
    items: Sequence[Item],
    retain: tuple[Example, ...],
    checkpoint: Checkpoint,
    folder: Path,
) -> Made:
    """The profile that forgets some facts, from the folder if it was made before.

    Raises:
        LetheError: the method refuses the task.
    """
    forget = request.forget(items, candidate.capitals)
    origin = {"base": checkpoint.base.fingerprint, **_origin(candidate, forget, retain)}
    name = store.key(origin)[:32]
    note, path = folder / f"{name}.json", folder / f"{name}.safetensors"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        profile = _profile(candidate, forget, retain, checkpoint)
        seconds = time.perf_counter() - started
        digest = artifact.write(profile, path)
        cost = {"seconds": round(seconds, 1), "rank": profile.rank, "bytes": path.stat().st_size}
        store.write_json(note, {"digest": digest, **cost})
    return Made(path=path, **json.loads(note.read_text()))


def _profile(
    candidate: Candidate,
    forget: tuple[Example, ...],
    retain: tuple[Example, ...],
    checkpoint: Checkpoint,
) -> Profile:
    if candidate.method in CONTROL:
        return _control(candidate.method, checkpoint.base)
    task = Task(
        checkpoint.model, checkpoint.tokenizer, checkpoint.base, forget=forget, retain=retain
    )
    return methods.method(candidate.method).fit(task, _config(candidate))


def _control(name: str, base: BaseModel) -> Profile:
    """Adds nothing, or noise that leaves no sense in what is said."""
    generator = torch.Generator().manual_seed(SEED)
    A, B = (torch.randn(RANK, base.hidden_size, generator=generator) for _ in range(2))
    return Profile(base, (Projector(SITE, A, CONTROL[name] * B),), name)


def _config(candidate: Candidate) -> Any:
    return methods.method(candidate.method).config(**dict(candidate.settings))


def _origin(
    candidate: Candidate, forget: Sequence[Example], retain: Sequence[Example]
) -> dict[str, Any]:
    if candidate.method in CONTROL:
        return {"control": candidate.method, "of": [str(SITE), RANK, SEED]}
    config = _config(candidate)
    return {
        "method": candidate.method,
        "config": {one.name: asdict(config)[one.name] for one in fields(config)},
        "forget": examples.digest(list(forget)),
        "retain": examples.digest(list(retain)),
        "code": code_digest(candidate.method),
        "libraries": {name: metadata.version(name) for name in ("torch", "transformers")},
    }
