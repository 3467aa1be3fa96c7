"""`lethe fit`: from a checkpoint and examples to an artifact file, by any method."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lethe_projections.base_model import BaseModel
from lethe_projections.errors import FitError

if TYPE_CHECKING:
    from lethe_projections.methods.hyperparameters import Hyperparameters
    from lethe_projections.profile import Profile
    from lethe_projections.task import Task


@dataclass(frozen=True)
class Checkpoint:
    """A base model ready to be fitted on.

    Attributes:
        base: its identity.
        model: transformers decoder in float32, evaluation mode.
        tokenizer: its own.
    """

    base: BaseModel
    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, model: str, device: str = "auto") -> "Checkpoint":
        """Loads `embedded`, a folder, or a Hugging Face id that was downloaded before.

        Args:
            model: which.
            device: where to, as torch names it; `auto` takes a GPU if there is one.

        Raises:
            CheckpointError: there is no such model here, or transformers cannot load it.
            FitError: there is no such device.
        """
        import torch
        from transformers.utils import logging

        from lethe_projections import embedded, transformers_model

        logging.disable_progress_bar()
        folder = embedded.resolve(model)
        base = BaseModel.from_checkpoint(folder)
        loaded, tokenizer = transformers_model.load(folder, torch.float32)
        return cls(base, loaded.eval().to(_device(device)), tokenizer)


@dataclass(frozen=True)
class Data:
    """The files that a fit reads; None for what ships with Lethe, or for nothing.

    Attributes:
        forget: JSON lines of what must go.
        retain: JSON lines of what must stay.
        reference: JSON lines of prompts that the model cannot answer.
        after: an artifact to which this request is added.
        limits: `capture.Limits` as keywords.
    """

    forget: Path | None = None
    retain: Path | None = None
    reference: Path | None = None
    after: Path | None = None
    limits: dict[str, Any] = field(default_factory=dict)

    def task(self, checkpoint: Checkpoint, progress: bool = True) -> "Task":
        """Reads them all.

        Raises:
            FitError: a file is missing, empty, or has a bad line.
            ArtifactError: `after` is no profile.
            IncompatibleError: `after` is for another model.
        """
        from lethe_projections import artifact, base_model, examples
        from lethe_projections.capture import Limits
        from lethe_projections.task import Task

        given = {
            role: examples.load(path, role)
            for role in ("forget", "retain", "reference")
            if (path := getattr(self, role)) is not None
        }
        after = None if self.after is None else artifact.read(self.after)
        if after is not None:
            base_model.check(after.base, checkpoint.base)
        return Task(
            checkpoint.model,
            checkpoint.tokenizer,
            checkpoint.base,
            after=after,
            limits=Limits(**self.limits),
            progress=progress,
            **given,
        )


def warnings(task: "Task") -> Iterator[str]:
    """What a user should know before the fit."""
    from lethe_projections import examples

    if lines := examples.lines_with_answers(task.retain, task.forget):
        shown = ", ".join(map(str, lines[:10])) + (", ..." if len(lines) > 10 else "")
        yield (
            f"retain: {len(lines)} of {len(task.retain)} examples hold an answer of the forget "
            f"examples, and so may ask for the opposite (line {shown}); take them out if that is "
            "not meant"
        )


def fit(
    task: "Task", method: str, config: "Hyperparameters | None", out: Path
) -> "tuple[Profile, str]":
    """Fits and writes a profile; an error writes nothing.

    Returns:
        The profile and its digest.

    Raises:
        LetheError: the data or the options are wrong.
        OSError: `out` cannot be written.
    """
    from lethe_projections import artifact, methods

    _check_writable(out)
    profile = methods.method(method).fit(task, config)
    return profile, artifact.write(profile, out)


def _check_writable(out: Path) -> None:
    """Before the fit, which may take minutes."""
    if not out.parent.is_dir():
        raise FitError(f"out: expected a folder at {out.parent}, found none; create it")
    if out.is_dir():
        raise FitError(f"out: expected a file's name, found the folder {out}; add a name to it")
    if not os.access(out.parent, os.W_OK):
        raise FitError(f"out: expected to write in {out.parent}, found it read-only; take another")


def parse_layers(text: str) -> tuple[int, ...]:
    """Reads `2-5` or `2,3,7`.

    Raises:
        ValueError: any other form.
    """
    layers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        found = range(int(first), int(last if dash else first) + 1)
        if not found:
            raise ValueError(f"an empty range {part!r}")
        layers.extend(found)
    return tuple(layers)


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise FitError(
            f"device: expected auto, cpu or cuda[:N] of this machine, found {name!r}: {error}"
        ) from error
    return device
