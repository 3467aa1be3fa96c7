"""`lethe profiles`: the profiles of a server, from a terminal."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lethe_server.cli_options import LOCAL, Key, ServersJson, Url, connect, print_json

URL = "/v1/unlearning/profiles"

profiles_app = typer.Typer(help="The profiles of a server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What requests call it.")]


@profiles_app.command("list")
def list_profiles(url: Url = LOCAL, api_key: Key = None, as_json: ServersJson = False) -> None:
    """Every profile: its digest, how it was made, how often it served."""
    found = connect(url, api_key).get(URL)
    if as_json:
        print_json(found)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "digest"):
        table.add_column(column, no_wrap=True)
    for column in ("version", "method", "rank", "KiB", "pinned", "requests"):
        table.add_column(column)
    for one in found["data"]:
        table.add_row(
            one["id"],
            one["digest"][:12],
            str(one["version"]),
            one["method"],
            str(one["rank"]),
            f"{one['bytes'] / 1024:.0f}",
            "yes" if one["pinned"] else "",
            str(one["requests_served"]),
        )
    Console().print(table)


@profiles_app.command("add")
def add_profile(
    name: Name,
    source: Annotated[
        str, typer.Argument(help="A file here; or a URL that the server reads: s3://, hf://.")
    ],
    *,
    new: Annotated[bool, typer.Option("--new", help="Only if the name is free.")] = False,
    replacing: Annotated[
        str | None, typer.Option(help="Only if the name has this digest now, given whole.")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = None,
    as_json: ServersJson = False,
) -> None:
    """Give a name a profile, new or in place of another, once every rank has it."""
    headers = _only(new, replacing)
    client = connect(url, api_key)
    body = {"source": source} if "://" in source else Path(source).read_bytes()
    _say(client.put(f"{URL}/{name}", body, headers), as_json)


@profiles_app.command("show")
def show_profile(
    name: Name, url: Url = LOCAL, api_key: Key = None, as_json: ServersJson = False
) -> None:
    """One profile: where it is from, and everything that its name meant before."""
    client = connect(url, api_key)
    found = client.get(f"{URL}/{name}")
    found["versions"] = client.get(f"{URL}/{name}/versions")["data"]
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    from lethe_server import inspecting

    versions = found.pop("versions")
    inspecting.show(found, Console())
    Console().print(_history(versions))


@profiles_app.command("rollback")
def roll_back(
    name: Name,
    version: Annotated[int | None, typer.Option(min=1, help="Its number.")] = None,
    digest: Annotated[str | None, typer.Option(help="Or the start of its digest.")] = None,
    url: Url = LOCAL,
    api_key: Key = None,
    as_json: ServersJson = False,
) -> None:
    """Give a name the profile that it had before, also if it was removed."""
    if version is not None and digest is not None:
        raise typer.BadParameter("expected --version or --digest, found both; give one")
    wanted = {"version": version, "digest": digest}
    body = {field: value for field, value in wanted.items() if value is not None}
    _say(connect(url, api_key).post(f"{URL}/{name}/rollback", body), as_json)


@profiles_app.command("pin")
def pin_profile(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="Let it be changed again.")] = False,
    url: Url = LOCAL,
    api_key: Key = None,
    as_json: ServersJson = False,
) -> None:
    """Keep a name as it is: nothing changes it until it is let go."""
    _say(connect(url, api_key).patch(f"{URL}/{name}", {"pinned": not off}), as_json)


@profiles_app.command("rm")
def remove_profile(
    name: Name, url: Url = LOCAL, api_key: Key = None, as_json: ServersJson = False
) -> None:
    """Take a name away; requests in flight finish, and a rollback brings it back."""
    found = connect(url, api_key).delete(f"{URL}/{name}")
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{name}: removed; 'lethe profiles rollback {name}' brings it back")


def _only(new: bool, replacing: str | None) -> dict[str, str]:
    """The headers of a change that is made only while the name means what they say."""
    if new and replacing is not None:
        raise typer.BadParameter("expected --new or --replacing, found both; give one")
    if new:
        return {"If-None-Match": "*"}
    return {} if replacing is None else {"If-Match": f'"{replacing}"'}


def _say(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    pinned = ", pinned" if found["pinned"] else ""
    typer.echo(f"{found['id']}: version {found['version']}, {found['digest']}{pinned}")


def _history(versions: list[dict[str, Any]]) -> Any:
    from datetime import datetime

    from rich.table import Table

    table = Table("version", "digest", "by", "when", "from", "author", box=None, pad_edge=False)
    for one in versions:
        table.add_row(
            f"{one['version']}{' (now)' if one['current'] else ''}",
            (one["digest"] or "")[:12],
            one["action"],
            datetime.fromtimestamp(one["created"]).astimezone().isoformat(" ", "seconds"),
            one["source"],
            one["author"],
        )
    return table
