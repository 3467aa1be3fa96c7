"""`lethe export` and `lethe import`: profiles from and to the formats of other programs."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lethe_projections.errors import InterchangeError

if TYPE_CHECKING:
    from lethe_projections.profile import Profile


class Target(StrEnum):
    """What a profile can become."""

    PEFT = "peft"
    MERGED = "merged"


class Source(StrEnum):
    """What can become a profile."""

    PEFT = "peft"
    GGUF = "gguf"
    SAFETENSORS = "safetensors"


class Use(StrEnum):
    """What directions are for."""

    ABLATE = "ablate"
    STEER = "steer"


Model = Annotated[str, typer.Option(help="The base model: 'embedded', a folder, or a cached id.")]


def export_file(
    file: Annotated[Path, typer.Argument(help="An artifact, with edits of down_proj alone.")],
    to: Annotated[
        Target,
        typer.Option(help="peft: a LoRA adapter; merged: a whole checkpoint with the edit in it."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write; new, or empty.")],
    model: Model = "embedded",
) -> None:
    """Write a profile as a LoRA adapter (PEFT, vLLM) or as a merged Hugging Face checkpoint."""
    from lethe_projections import artifact, base_model, embedded
    from lethe_projections.interchange import merged_checkpoint, peft_export

    profile, folder = artifact.read(file), embedded.resolve(model)
    card = _card(file, profile)
    if to is Target.MERGED:
        _disable_progress_bar()
        merged_checkpoint.write(profile, folder, out)
        card(out)
        typer.echo(f"{out}: a checkpoint with {profile.method} merged in")
        return
    base_model.check(profile.base, base_model.BaseModel.from_checkpoint(folder))
    rank = peft_export.write(profile, out, folder)
    card(out)
    typer.echo(f"{out}: a LoRA adapter; for vLLM --enable-lora --max-lora-rank {rank}")


def _card(file: Path, profile: "Profile") -> Callable[[Path], None]:
    """What writes the model card, with the evidence beside the artifact, which is read now."""
    from lethe_projections import artifact, durable
    from lethe_server import model_card
    from lethe_server.evaluating import attaching

    digest = artifact.digest(file.read_bytes())
    text = model_card.text(profile, digest, attaching.beside(file, digest))
    return lambda folder: durable.write(folder / model_card.FILE, text.encode())


def import_file(
    source: Annotated[Path, typer.Argument(help="A PEFT adapter's folder, or a file.")],
    kind: Annotated[
        Source,
        typer.Option(
            "--from",
            help="peft: a LoRA adapter on down_proj; gguf: a control vector as of repeng and "
            "llama.cpp; safetensors: tensors layers.{l}.{hook} of directions, one a row.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The artifact to write.")],
    model: Model = "embedded",
    use: Annotated[
        Use | None,
        typer.Option("--as", help="Of safetensors: take the directions out, or add them."),
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="Factor of what is added; default 1. Not for peft, ablate.")
    ] = None,
) -> None:
    """Make a profile of a LoRA adapter, a control vector or directions, or say why it cannot be."""
    from lethe_projections import artifact

    _check_usage(kind, use, strength)
    if not out.parent.is_dir():
        raise InterchangeError(f"out: expected a folder at {out.parent}, found none; create it")
    profile = _read(source, kind, model, use, 1.0 if strength is None else strength)
    digest = artifact.write(profile, out)
    sites = ", ".join(map(str, profile.sites))
    typer.echo(f"{out}: {digest[:12]}, {profile.method}, rank {profile.rank}, {sites}")


def _disable_progress_bar() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


def _check_usage(kind: Source, use: Use | None, strength: float | None) -> None:
    if (use is None) == (kind is Source.SAFETENSORS):
        raise typer.BadParameter("--as: expected with --from safetensors, and only there")
    if strength is not None and (kind is Source.PEFT or use is Use.ABLATE):
        raise typer.BadParameter("--strength: expected where something is added, not with this")


def _read(source: Path, kind: Source, model: str, use: Use | None, strength: float) -> "Profile":
    from lethe_projections import embedded
    from lethe_projections.base_model import BaseModel
    from lethe_projections.interchange import control_vector, directions, peft_import

    base = BaseModel.from_checkpoint(embedded.resolve(model))
    if kind is Source.PEFT:
        return peft_import.read(source, base)
    if kind is Source.GGUF:
        return control_vector.read(source, base, strength)
    return directions.read(source, base, str(use), strength)
