"""Fits a profile for a case, once: the artifact is kept under what it was made from."""

import ast
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, get_type_hints

import lethe_projections
from benchmarks.methods import facts, request, retain, store
from benchmarks.methods.cases import Fit
from lethe_projections import artifact, examples, methods
from lethe_projections.profile import Profile
from lethe_projections.task import Task
from lethe_server.fitting import Checkpoint, parse_layers

_PACKAGE = Path(lethe_projections.__file__).parent


@dataclass(frozen=True)
class Fitted:
    """A profile and what it cost.

    Attributes:
        path: the artifact.
        digest: its sha256.
        seconds: wall clock of the fit alone, model load not included.
        rank, bytes: of the profile, and of its file.
        hyperparameters: as the artifact records them.
    """

    path: Path
    digest: str
    seconds: float
    rank: int
    bytes: int
    hyperparameters: dict[str, Any]

    @property
    def profile(self) -> Profile:
        """Read from the file."""
        return artifact.read(self.path)


def fitted(fit: Fit, folder: Path, checkpoint: Checkpoint) -> Fitted:
    """The profile, from the work folder if it was fitted before.

    Raises:
        LetheError: the method refuses the task.
    """
    before = fitted(fit.before, folder, checkpoint) if fit.before else None
    task = _task(fit, before, checkpoint)
    config = configured(fit)
    name = store.key(_origin(fit, task, config, before))[:32]
    note, path = folder / "fits" / f"{name}.json", folder / "fits" / f"{name}.safetensors"
    if not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        profile = methods.method(fit.method).fit(task, config)
        seconds = time.perf_counter() - started
        digest = artifact.write(profile, path)
        store.write_json(note, _note(profile, digest, seconds, path))
    return Fitted(path=path, **json.loads(note.read_text()))


def _note(profile: Profile, digest: str, seconds: float, path: Path) -> dict[str, Any]:
    return {
        "digest": digest,
        "seconds": round(seconds, 2),
        "rank": profile.rank,
        "bytes": path.stat().st_size,
        "hyperparameters": dict(profile.hyperparameters),
    }


def configured(fit: Fit) -> Any:
    """The method's `Config` for a fit.

    Raises:
        FitError: a value is out of range.
    """
    return methods.method(fit.method).config(**dict(fit.settings))


def setting(method: str, text: str) -> tuple[str, Any]:
    """Reads `name=value` as the method's hyper-parameter of that name; layers as 1-4 or 2,5.

    Raises:
        ValueError: no such hyper-parameter, or no such value.
    """
    name, _, value = text.partition("=")
    hints = get_type_hints(methods.method(method).config)
    if name not in hints:
        raise ValueError(f"expected one of {', '.join(hints)} for {method}, found {name!r}")
    kind = hints[name]
    if kind == tuple[int, ...]:
        return name, parse_layers(value) if value else ()
    if kind == tuple[str, ...]:
        return name, tuple(value.split(",")) if value else ()
    if kind is bool:
        return name, {"true": True, "false": False}[value.lower()]
    return name, (int if kind == int | None else kind)(value)


def _task(fit: Fit, before: Fitted | None, checkpoint: Checkpoint) -> Task:
    known = {fact.id: fact for fact in facts.load()}
    return Task(
        checkpoint.model,
        checkpoint.tokenizer,
        checkpoint.base,
        forget=request.forget(known[name] for name in fit.facts),
        retain=retain.parted(tuple(known.values())).fit,
        after=before.profile if before else None,
    )


def _origin(fit: Fit, task: Task, config: Any, before: Fitted | None) -> dict[str, Any]:
    return {
        "method": fit.method,
        "config": {one.name: asdict(config)[one.name] for one in fields(config)},
        "forget": examples.digest(task.forget),
        "retain": examples.digest(task.retain),
        "reference": examples.digest(task.reference),
        "after": before.digest if before else None,
        "model": task.base.fingerprint,
        "code": code_digest(fit.method),
        "libraries": {name: metadata.version(name) for name in ("torch", "transformers")},
    }


def code_digest(method: str) -> str:
    """sha256 over a method's file and every file of `lethe_projections` that it imports."""
    found: dict[Path, bytes] = {}
    _gather(_PACKAGE / "methods" / f"{method.replace('-', '_')}.py", found)
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(path.name.encode() + b"\0" + found[path] + b"\0")
    return digest.hexdigest()


def _gather(path: Path, found: dict[Path, bytes]) -> None:
    if path in found:
        return
    found[path] = path.read_bytes()
    for module in _imported(ast.parse(found[path])):
        _, *parts = module.split(".")
        inner = _PACKAGE.joinpath(*parts).with_suffix(".py")
        if parts and inner.exists():
            _gather(inner, found)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Names that may be modules of the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lethe_projections"):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
