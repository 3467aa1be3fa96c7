"""`lethe policy`: makes keys, and says what a policy file permits."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe_server.cli_options import AsJson, print_json

if TYPE_CHECKING:
    from lethe_server.policy.caller import Caller

policy_app = typer.Typer(help="Say which key may use what.", no_args_is_help=True)


@policy_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A policy; docs/policy.md has its form.")],
    as_json: AsJson = False,
) -> None:
    """Say what each key may do, or in which line the file is wrong (exit code 1)."""
    from rich.console import Console

    from lethe_server.policy import following

    policy = following.read(file)
    callers = [caller for _, caller in policy.keys]
    permitted = [_described(caller) for caller in callers]
    anonymous = None if policy.anonymous is None else _described(policy.anonymous)
    if as_json:
        print_json({"keys": permitted, "anonymous": anonymous})
        return
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for document in [*permitted, *([anonymous] if anonymous else [])]:
        console.print("\n".join(_lines(document)))
    if anonymous is None:
        console.print("without a key: refused")


@policy_app.command()
def key(
    name: Annotated[str, typer.Option(help="What to call it in logs.")] = "NAME",
) -> None:
    """Print a new key, this once, and the lines for the policy file, which have its hash alone."""
    from lethe_server.policy import keys

    new = keys.generate()
    typer.echo(f"{new}\n")
    typer.echo(
        f"  - name: {name}\n    sha256: {keys.hashed(new)}\n    profiles: []\n    base: false"
    )


def _described(caller: "Caller") -> dict[str, Any]:
    return {
        "name": caller.name,
        "restricted": caller.is_restricted,
        "base": caller.base,
        "profiles": _names(caller.profiles),
        "default": "base" if caller.default is None else str(caller.default),
        "adapters": _names(caller.adapters),
        "admin": caller.admin,
    }


def _names(names: frozenset[str] | None) -> list[str] | str:
    return "*" if names is None else sorted(names)


def _lines(document: dict[str, Any]) -> Iterator[str]:
    restricted = "restricted" if document["restricted"] else "may use everything"
    yield f"{document['name']}: {restricted}{', administers' if document['admin'] else ''}"
    for field in ("profiles", "adapters"):
        found = document[field]
        yield f"  {field}: {'all' if found == '*' else ', '.join(found) or 'none'}"
    yield f"  base: {'yes' if document['base'] else 'no'}"
    yield f"  default: {document['default']}"
