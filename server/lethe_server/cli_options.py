"""Options that several commands have, and what these do with them alike."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lethe_server.client import Client

Url = Annotated[str, typer.Option("--url", envvar="LETHE_URL", help="The server.")]
Key = Annotated[
    str | None, typer.Option("--api-key", envvar="LETHE_API_KEY", help="The server's key.")
]
ServersJson = Annotated[bool, typer.Option("--json", help="The server's JSON document.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]

LOCAL = "http://127.0.0.1:8000"


def connect(url: str, key: str | None) -> "Client":
    """Speaks to the server."""
    from lethe_server.client import Client

    return Client(url, key)


def print_json(found: Any) -> None:
    """Prints a document for programs."""
    typer.echo(json.dumps(found, indent=2))
