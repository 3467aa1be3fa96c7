"""`lethe experiment ...`: experiments on a running server."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from lethe_server.cli_options import LOCAL, Key, ServersJson, Url, connect, print_json

URL = "/v1/unlearning/experiments"

app = typer.Typer(
    help="Compare variants on live traffic: each user gets one of them, and keeps it.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="The experiment.")]


@app.command()
def create(
    name: Name,
    *,
    arm: Annotated[
        list[str],
        typer.Option(
            help="ARM=PROFILE or ARM=PROFILE:WEIGHT, twice or more often. PROFILE is 'base', NAME, "
            "NAME@DIGEST or several joined by '+'."
        ),
    ],
    control: Annotated[
        str | None, typer.Option(help="The arm that others are compared with; else the first.")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = None,
    as_json: ServersJson = False,
) -> None:
    """Start an experiment. The same once more changes nothing."""
    body = {"name": name, "arms": [_arm(text) for text in arm], "control": control}
    _show_one(connect(url, api_key).post(URL, body), as_json)


@app.command("list")
def list_all(*, url: Url = LOCAL, api_key: Key = None, as_json: ServersJson = False) -> None:
    """List every experiment."""
    found = connect(url, api_key).get(URL)
    if as_json:
        print_json(found)
        return
    from lethe_server.experiments import showing

    showing.experiments(found["data"])


@app.command()
def show(
    name: Name, *, url: Url = LOCAL, api_key: Key = None, as_json: ServersJson = False
) -> None:
    """Show one experiment."""
    _show_one(connect(url, api_key).get(_path(name)), as_json)


@app.command()
def report(
    name: Name, *, url: Url = LOCAL, api_key: Key = None, as_json: ServersJson = False
) -> None:
    """Say what an experiment has shown so far, with 95 % intervals."""
    found = connect(url, api_key).get(f"{_path(name)}/report")
    if as_json:
        print_json(found)
        return
    from lethe_server.experiments import showing

    showing.report(found)


@app.command()
def stop(
    name: Name, *, url: Url = LOCAL, api_key: Key = None, as_json: ServersJson = False
) -> None:
    """Let no request take part from now on."""
    _show_one(connect(url, api_key).post(f"{_path(name)}/stop"), as_json)


@app.command()
def export(
    name: Name,
    *,
    out: Annotated[Path | None, typer.Option(help="A file; else the terminal.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="CSV instead of JSON lines.")] = False,
    url: Url = LOCAL,
    api_key: Key = None,
) -> None:
    """Write every exposure and outcome, as JSON lines."""
    form = "csv" if csv else "jsonl"
    lines = connect(url, api_key).lines(f"{_path(name)}/export?format={form}")
    if out is None:
        for line in lines:
            typer.echo(line)
        return
    # Whole or not at all: a table that ends early looks like one that does not.
    partial = out.with_name(f"{out.name}.partial")
    with partial.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    partial.replace(out)


def _path(name: str) -> str:
    from urllib.parse import quote

    return f"{URL}/{quote(name, safe='')}"


def _arm(text: str) -> dict[str, Any]:
    found = re.fullmatch(r"([^=]+)=([^:]+)(?::([0-9.]+))?", text)
    weight = _number(found[3] or "1") if found else None
    if found is None or weight is None:
        raise typer.BadParameter(
            f"expected ARM=PROFILE or ARM=PROFILE:WEIGHT, found {text!r}", param_hint="--arm"
        )
    return {"name": found[1], "profile": found[2], "weight": weight}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _show_one(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from lethe_server.experiments import showing

    showing.experiments([found])
