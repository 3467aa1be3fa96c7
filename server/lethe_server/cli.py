"""The command `lethe`. Torch, transformers and vLLM are imported by the commands that need them."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lethe_projections.errors import LetheError
from lethe_server.cli_attack import attack_app
from lethe_server.cli_compare import compare
from lethe_server.cli_compose import compose
from lethe_server.cli_eval import evaluate
from lethe_server.cli_experiment import app as experiment_app
from lethe_server.cli_fit import FitGroup
from lethe_server.cli_interchange import export_file, import_file
from lethe_server.cli_options import AsJson, print_json
from lethe_server.cli_policy import policy_app
from lethe_server.cli_profiles import profiles_app
from lethe_server.cli_report import report

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
fit_app = typer.Typer(cls=FitGroup, help="Fit a profile.", no_args_is_help=True)
app.add_typer(fit_app, name="fit")
app.add_typer(profiles_app, name="profiles")
app.add_typer(experiment_app, name="experiment")
app.command("export")(export_file)
app.command("import")(import_file)
app.command()(compose)
app.command()(compare)
app.command("eval")(evaluate)
app.command()(report)
app.add_typer(policy_app, name="policy")
app.add_typer(attack_app, name="attack")

DEFAULT_SITES, DEFAULT_BANK_MB = "mlp,down_proj", 512
"""As in `lethe_vllm.options`, which is not worth importing for `--help`."""


def _say_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        typer.echo(f"lethe {metadata.version('vllm-lethe')}")
        raise typer.Exit


@app.callback()
def lethe(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say it and exit."),
    ] = False,
) -> None:
    """One base model serves the original and any number of unlearned variants."""


_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(
    context_settings=_PASS_ON,
    epilog="Any other option goes to vLLM's server: --port, --host, --max-model-len, "
    "--enforce-eager, --api-key and so on, as for 'vllm serve'. "
    "'python -m vllm.entrypoints.openai.api_server --help=all' lists them.",
)
def serve(
    *,
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="'embedded' for the small model that comes along; else as vLLM.")
    ],
    profiles: Annotated[
        Path | None,
        typer.Option(help="Folder of NAME.safetensors. Without it, profiles go with the server."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="What keeps profiles and their history: a folder, or the URL of a database that "
            "several servers share. By default in the folder of profiles.",
        ),
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(help="Where artifacts are, if not with the store: s3://, gs://, a folder."),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="Where a PUT may take artifacts from: a folder, s3://bucket/, hf://org/. "
            "May be given several times; without it, a PUT has to bring the bytes.",
        ),
    ] = None,
    sites: Annotated[
        str,
        typer.Option(help="Where profiles may edit: HOOK[:LAYER[-LAYER]], comma-separated."),
    ] = DEFAULT_SITES,
    bank_mb: Annotated[
        int,
        typer.Option(
            "--lethe-bank-mb",
            min=1,
            help="MiB for profiles on each device; others wait in host memory for their requests.",
        ),
    ] = DEFAULT_BANK_MB,
    when_full: Annotated[
        Literal["wait", "refuse"],
        typer.Option(
            "--lethe-when-full",
            help="A request whose profile finds no room there waits, or is refused (503).",
        ),
    ] = "wait",
    policy: Annotated[
        Path | None,
        typer.Option(
            help="File that says which key may use what; see docs/policy.md. Without it, everybody "
            "may use everything."
        ),
    ] = None,
    log: Annotated[
        Literal["json", "text", "off"],
        typer.Option("--lethe-log", help="One line of log for each request."),
    ] = "off",
    audit: Annotated[
        Path | None,
        typer.Option(help="File to append to: who changed what, what served which request."),
    ] = None,
    audit_requests: Annotated[
        str,
        typer.Option(help="Which requests stand there: full, off, or a share such as 0.01."),
    ] = "full",
) -> None:
    """Serve a model and its variants over HTTP, with vLLM."""
    from lethe_server.serve import serve as run

    server = {
        "policy": None if policy is None else str(policy.resolve()),
        "sources": sources,
        "log": log,
        "audit": None if audit is None else str(audit.resolve()),
        "audit_requests": audit_requests,
    }
    lethe = {
        "sites": sites,
        "profiles": profiles,
        "store": store,
        "objects": objects,
        "bank_mb": bank_mb,
        "when_full": when_full,
        "server": {name: value for name, value in server.items() if value is not None},
    }
    run(model, context.args, lethe)


@fit_app.callback()
def fit() -> None:
    """Fit a profile: what a variant shall not know, from examples, by one of the methods below."""


@app.command("inspect")
def inspect_file(
    file: Annotated[Path, typer.Argument(help="An artifact.")],
    as_json: AsJson = False,
) -> None:
    """Say what an artifact holds, or what is wrong with it."""
    from rich.console import Console

    from lethe_server import inspecting

    description = inspecting.described(file)
    if as_json:
        print_json(description)
    else:
        inspecting.show(description, Console())


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Where to serve, on 127.0.0.1.")] = 8000,
) -> None:
    """Fit two profiles, serve them beside the base, and show the answers."""
    from lethe_server.demo import run

    run(port)


def main() -> None:
    """Runs the command line: 0 when all is well, 1 on an error, 2 on wrong usage."""
    try:
        app()
    except (LetheError, OSError) as error:
        typer.echo(f"lethe: {error}", err=True)
        sys.exit(1)
