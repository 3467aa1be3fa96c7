"""`lethe fit`: from a checkpoint and a subject to an artifact file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile


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
    def load(cls, model: str) -> "Checkpoint":
        """Loads `embedded`, a folder, or a Hugging Face id that was downloaded before.

        Raises:
            CheckpointError: there is no such model here.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        from lethe_projections import embedded

        logging.disable_progress_bar()
        folder = embedded.resolve(model)
        base = BaseModel.from_checkpoint(folder)
        loaded = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(base, loaded.eval(), tokenizer)


@dataclass(frozen=True)
class Redirection:
    """What `lethe fit rocr` is told.

    Attributes:
        subjects: what the variant must not know.
        target: what it answers about instead.
        layers: blocks to edit; None for the method's default.
        ridge: see `rocr.RocrConfig`.
    """

    subjects: tuple[str, ...]
    target: str
    layers: tuple[int, ...] | None = None
    ridge: float = 0.01


def fit_rocr(
    checkpoint: Checkpoint, redirection: Redirection, retain: Path | None, out: Path
) -> tuple[Profile, str]:
    """Fits and writes a profile.

    Args:
        checkpoint: the base model.
        redirection: what to move where.
        retain: JSON lines of text to leave alone; None for what ships with Lethe.
        out: where to write the artifact.

    Returns:
        The profile and its digest.

    Raises:
        LetheError: the options or the retain text are wrong.
        OSError: `out` cannot be written.
    """
    from lethe_projections import artifact, rocr
    from lethe_projections.retain import load_retain

    config = rocr.RocrConfig(
        subjects=redirection.subjects,
        target=redirection.target,
        layers=redirection.layers,
        ridge=redirection.ridge,
    )
    profile = rocr.fit(
        checkpoint.model,
        checkpoint.tokenizer,
        checkpoint.base,
        config,
        load_retain(retain),
        progress=True,
    )
    return profile, artifact.write(profile, out)


def parse_layers(text: str) -> tuple[int, ...]:
    """Reads `2-5` or `2,3,7`.

    Raises:
        ValueError: any other form.
    """
    layers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        layers.extend(range(int(first), int(last or first) + 1))
    return tuple(layers)


def listed(values: Sequence[Any]) -> str:
    """`2, 3, 4`."""
    return ", ".join(map(str, values))
