"""`lethe compare`: one prompt, several variants, side by side in the terminal."""

from typing import Annotated

import typer

from lethe_server.cli_options import LOCAL, Key, ServersJson, Url, connect, print_json

URL = "/v1/unlearning/compare"


def compare(
    prompt: Annotated[str, typer.Argument(help="What to ask, as a user's message.")],
    *,
    profiles: Annotated[
        str,
        typer.Option(
            help="Variants, comma-separated: 'base', NAME, NAME@DIGEST, or several joined by '+'. "
            "What differs from the first is highlighted."
        ),
    ],
    url: Url = LOCAL,
    api_key: Key = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of each answer.")] = 128,
    score: Annotated[
        bool, typer.Option("--score", help="Measure each variant on the base's answer.")
    ] = False,
    as_json: ServersJson = False,
) -> None:
    """Ask several variants the same, and show the answers side by side.

    In a terminal they are shown while they come. Exits with 1 if a variant has no answer.
    """
    names = [name.strip() for name in profiles.split(",")]
    if not all(names):
        raise typer.BadParameter(
            f"expected names with one comma between two, found {profiles!r}; name each variant",
            param_hint="--profiles",
        )
    messages = [{"role": "user", "content": prompt}]
    body = {"messages": messages, "profiles": names, "max_tokens": max_tokens, "score": score}
    client = connect(url, api_key)
    if as_json:
        print_json(client.post(URL, body))
        return
    from rich.console import Console

    from lethe_server import side_by_side

    events = client.stream(URL, {**body, "stream": True})
    side_by_side.show(names, events, Console())
