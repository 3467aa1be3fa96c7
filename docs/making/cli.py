"""docs/cli.md, made from the commands.

python -m docs.making.cli [FILE]       # make reference
"""

import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from benchmarks.marked import Marked
from lethe_projections.methods import METHODS
from lethe_server import cli, cli_fit

PAGE = Path(__file__).parents[1] / "cli.md"
MARKED = Marked("<!-- made by `make reference`; do not edit -->", "<!-- end -->")


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its whole name, in the order of the help; groups are not among them."""
    yield from _within("lethe", typer.main.get_command(cli.app))


def _within(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(command, cli_fit.FitGroup):
        yield from ((f"{name} {method}", cli_fit.whole(METHODS[method])) for method in METHODS)
    elif hasattr(command, "commands"):
        for below, one in command.commands.items():
            yield from _within(f"{name} {below}", one)
    else:
        yield name, command


def rendered() -> str:
    """What the page has of all commands."""
    lines = (line for name, one in commands() for line in _command(name, one))
    return "\n".join(lines).rstrip() + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join([name, *(_metavar(one) for one in arguments), "[OPTIONS]" if options else ""])
    yield f"## {name}\n\n```text\n{usage.strip()}\n```\n"
    yield f"{_prose(command.help)}\n"
    if arguments or options:
        yield "| | default | |\n|---|---|---|"
        for one in [*arguments, *options]:
            yield f"| {_names(one)} | {_default(one)} | {_prose(one.help)} |"
        yield ""
    if command.epilog:
        yield f"{_prose(command.epilog)}\n"


def _names(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{_metavar(one)}`"
    names = "`, `".join([*one.opts, *one.secondary_opts])
    return f"`{names}`" if one.is_flag else f"`{names}` {_cell(_type(one))}"


def _metavar(one: Any) -> str:
    several = get_origin(one.type_descriptor.annotation) is list
    return f"{one.metavar or one.name.upper()}{'...' if several else ''}"


def _type(one: Any) -> str:
    """What an option takes."""
    kind = one.type_descriptor.annotation
    if get_origin(kind) is Literal:
        return _choices(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choices(one.value for one in kind)
    name = (get_args(kind) or (kind,))[0].__name__.lower().replace("str", "text")
    bounds = {"from": one.min, "to": one.max}
    said = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    return " ".join([name, *said, *(["(may be repeated)"] if one.multiple else [])])


def _choices(values: Iterable[object]) -> str:
    return " or ".join(f"`{value}`" for value in values)


def _default(one: Any) -> str:
    if one.required:
        return "required"
    found = [] if one.default in (None, (), [], "") else [f"`{_shown(one.default)}`"]
    variables = [one.envvar] if isinstance(one.envvar, str) else one.envvar or []
    return ", ".join([*(f"`${variable}`" for variable in variables), *found])


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return ",".join(map(str, default)) if isinstance(default, list | tuple) else str(default)


def _prose(text: str | None) -> str:
    return _cell(" ".join((text or "").split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(MARKED.inserted(PAGE.read_text(), rendered()))
