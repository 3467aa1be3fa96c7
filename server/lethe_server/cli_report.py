"""`lethe report`: evidence and attacks as a page that a person reads."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Folders as 'lethe eval' and 'lethe attack' write them, or single documents."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    markdown: Annotated[
        Path | None, typer.Option(help="Also the table in brief, for a README.")
    ] = None,
    title: Annotated[str, typer.Option(help="What stands above it.")] = "What was forgotten",
) -> None:
    """Make one page of what profiles have forgotten and kept, and how they withstood attacks.

    A single HTML file with tables and plots, which loads nothing from elsewhere.
    """
    from lethe_server.report import command, text

    found = command.write(results, out, markdown, title)
    evidence = text.counted(len(found.evidence), "document")
    typer.echo(f"{out}: {evidence} of evidence, {text.counted(len(found.attacks), 'attack')}")
