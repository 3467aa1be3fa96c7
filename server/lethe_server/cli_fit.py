"""`lethe fit METHOD`: one command a method, its options made from the method's hyper-parameters.

A method's file imports torch; it is imported when its command runs or shows its help, not before.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from lethe_projections.methods import METHODS, Method
from lethe_projections.methods.hyperparameters import About

if TYPE_CHECKING:
    from lethe_projections.projector import Site


class FitGroup(TyperGroup):
    """The methods as commands."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(METHODS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:  # type: ignore[override]
        return _Deferred(METHODS[cmd_name]) if cmd_name in METHODS else None


class _Deferred(TyperCommand):
    """Knows its summary, and becomes the whole command when it is used."""

    def __init__(self, method: Method) -> None:
        super().__init__(method.name, help=method.summary)
        self._method = method

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        return whole(self._method).make_context(*args, **kwargs)


def whole(method: Method) -> Any:
    """A method's command with all of its options; imports the method."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(method.name, help=method.summary)(command(method))
    return typer.main.get_command(app)


def command(method: Method) -> Callable[..., None]:
    """The command of a method: the common options and one for each of its hyper-parameters."""

    def run(
        *,
        out: Annotated[Path, typer.Option(help="The artifact to write.")],
        model: Annotated[
            str, typer.Option(help="'embedded', a folder, or a cached id.")
        ] = "embedded",
        forget: Annotated[
            Path | None, typer.Option(help="JSON lines of what must go: question, answer, subject.")
        ] = None,
        retain: Annotated[
            Path | None, typer.Option(help="JSON lines of what must stay; default: general text.")
        ] = None,
        reference: Annotated[
            Path | None, typer.Option(help="JSON lines the model cannot answer; default: ships.")
        ] = None,
        after: Annotated[
            Path | None, typer.Option(help="A profile to which this request is added.")
        ] = None,
        device: Annotated[str, typer.Option(help="auto, cpu or cuda[:N].")] = "auto",
        batch_size: Annotated[int, typer.Option(help="Texts per forward pass.")] = 32,
        max_tokens: Annotated[int, typer.Option(help="Longer texts are cut here.")] = 512,
        store: Annotated[
            Path | None,
            typer.Option(help="Folder to keep sums over text in, to go on after a kill and reuse."),
        ] = None,
        **hyperparameters: Any,
    ) -> None:
        config = method.config(**_values(method, hyperparameters))
        _run(method, config, (model, device), _data(locals()), out)

    run.__signature__ = _signature(run, method)  # type: ignore[attr-defined]
    run.__annotations__ = {
        name: parameter.annotation
        for name, parameter in run.__signature__.parameters.items()  # type: ignore[attr-defined]
    }
    return run


def _data(options: dict[str, Any]) -> dict[str, Any]:
    files = {name: options[name] for name in ("forget", "retain", "reference", "after")}
    return {
        **files,
        "limits": {name: options[name] for name in ("batch_size", "max_tokens", "store")},
    }


def _run(
    method: Method, config: Any, checkpoint: tuple[str, str], data: dict[str, Any], out: Path
) -> None:
    from lethe_server import fitting

    task = fitting.Data(**data).task(fitting.Checkpoint.load(*checkpoint))
    for warning in fitting.warnings(task):
        typer.echo(f"lethe: warning: {warning}", err=True)
    profile, digest = fitting.fit(task, method.name, config, out)
    sites = ", ".join(map(str, profile.sites))
    typer.echo(f"{out}: {digest[:12]}, {profile.method}, rank {profile.rank}, {sites}")
    if declared := _to_declare(profile.sites):
        typer.echo(f"serve it with: lethe serve --sites {declared}")


def _to_declare(sites: "Iterable[Site]") -> str:
    """What `--sites` must be, beyond its default; empty if that is enough."""
    from lethe_vllm.options import DEFAULT_SITES

    hooks = DEFAULT_SITES.split(",")
    more = [f"{site.hook}:{site.layer}" for site in sites if site.hook not in hooks]
    return ",".join([*more, *hooks]) if more else ""


def _signature(run: Callable[..., None], method: Method) -> inspect.Signature:
    own = inspect.signature(run, eval_str=True)
    common = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    hints = get_type_hints(method.config)
    common = [p for p in common if p.name not in {"reference", "after", "store"} - method.uses]
    options = [_option(one, hints[one.name]) for one in fields(method.config)]
    return own.replace(parameters=[*common, *options])


def _option(one: "Field[Any]", hint: Any) -> inspect.Parameter:
    """A field as an option: `layers` as 1-4 or 1,2,7; a tuple of texts as an option to repeat."""
    about: About = one.metadata["about"]
    default: Any = one.default
    kind, flags = hint, [f"--{one.name.replace('_', '-')}"]
    if hint == tuple[str, ...]:
        kind, flags = list[str], [flags[0].removesuffix("s")]
        default = list(default)
    elif hint == tuple[int, ...]:
        kind, default = str, ",".join(map(str, default))
    elif hint is bool:
        flags = [f"{flags[0]}/--no-{flags[0][2:]}"]
    option = typer.Option(*flags, help=about.help, rich_help_panel="Hyper-parameters")
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


def _values(method: Method, given: dict[str, Any]) -> dict[str, Any]:
    from lethe_server.fitting import parse_layers

    hints = get_type_hints(method.config)
    values = {}
    for name, value in given.items():
        if hints[name] == tuple[int, ...]:
            try:
                value = parse_layers(value) if value else ()  # noqa: PLW2901
            except ValueError:
                raise typer.BadParameter(
                    f"{name}: expected 2-5 or 2,3,7, found {value!r}"
                ) from None
        values[name] = tuple(value) if isinstance(value, list) else value
    return values
