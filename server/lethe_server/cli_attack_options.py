"""Options that attacks have in common, as `lethe eval --offline` has them, and what ends each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lethe_server.cli_options import print_json
from lethe_server.evaluating.split import Split

if TYPE_CHECKING:
    from lethe_server.attacks.document import Attack

Profile = Annotated[Path, typer.Option("--profile", help="The profile's file.")]
Model = Annotated[str, typer.Option("--model", help="'embedded', a folder, or a cached id.")]
Suites = Annotated[
    list[str],
    typer.Option(
        "--suite",
        help="capitals, element_symbols, books, a file, or LOADER:SET=FILE[,SET=FILE...] with "
        "tofu, pistol, wmdp, muse or rwku; may be given several times.",
    ),
]
Forget = Annotated[
    list[str] | None,
    typer.Option(
        "--forget",
        help="A subject that the profile is to forget, where that is not as the suite has it; "
        "may be given several times.",
    ),
]
WhichSplit = Annotated[Split, typer.Option("--split", help="Which subjects are asked about.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write the document to.")]
Jobs = Annotated[
    int, typer.Option("--jobs", min=1, max=256, help="Prompts at once; no score depends on it.")
]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="Of each answer.")]

FOLDER = Path("lethe-attack")


def finish(found: "Attack", out: Path, as_json: bool) -> None:
    """Writes what an attack found, and shows it.

    Raises:
        OSError: the folder cannot be written.
    """
    from rich.console import Console

    from lethe_server.attacks import result, showing

    result.write(found, out)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        showing.show(found, Console())
