"""`lethe compose`: several artifacts as one that does what all of them do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lethe_projections.errors import CompositionError, LetheError

if TYPE_CHECKING:
    from lethe_projections.profile import Profile


def compose(
    files: Annotated[list[Path], typer.Argument(help="Artifacts for one base model.")],
    out: Annotated[Path, typer.Option(help="The artifact to write.")],
) -> None:
    """Make one profile of several, exactly; the order of the files does not matter.

    A server does the same for a request that names several profiles, as in 'france+japan'.
    """
    from lethe_projections import artifact
    from lethe_projections.compose import compose as composed

    if not out.parent.is_dir():
        raise CompositionError(f"out: expected a folder at {out.parent}, found none; create it")
    profile = composed([_read(file) for file in files])
    digest = artifact.write(profile, out)
    typer.echo(f"{out}: {digest}, {profile.method}, rank {profile.rank}")
    for site, projectors in profile.by_site():
        typer.echo(f"  {site}: rank {sum(projector.rank for projector in projectors)}")


def _read(file: Path) -> "Profile":
    from lethe_projections import artifact

    try:
        return artifact.read(file)
    except LetheError as error:
        raise type(error)(f"{file}: {error}") from error
