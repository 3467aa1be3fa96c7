"""`lethe eval`: what a profile has forgotten and kept, measured as it is served, as evidence."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe_server.cli_options import LOCAL, AsJson, Key, Url, connect, print_json
from lethe_server.evaluating.split import Split

if TYPE_CHECKING:
    from lethe_server.evaluating.evidence import Evidence


def evaluate(
    *,
    profile: Annotated[
        str, typer.Option(help="What the server calls the profile; with --offline, its file.")
    ],
    suites: Annotated[
        list[str],
        typer.Option(
            "--suite",
            help="capitals, element_symbols, books, a file, or LOADER:SET=FILE[,SET=FILE...] with "
            "tofu, pistol, wmdp, muse or rwku; may be given several times.",
        ),
    ],
    url: Url = LOCAL,
    api_key: Key = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="In this process, by transformers, without a server.")
    ] = False,
    model: Annotated[
        str, typer.Option(help="With --offline: 'embedded', a folder, or a cached id.")
    ] = "embedded",
    forget: Annotated[
        list[str] | None,
        typer.Option(
            help="A subject that the profile is to forget, where that is not as the suite has it; "
            "may be given several times; every suite has to have all."
        ),
    ] = None,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            "--form", help="Ask in this form only; may be given several times; default: in all."
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Which subjects are asked about.")] = Split.ALL,
    out: Annotated[
        Path, typer.Option(help="Folder to write; what it has already is not asked again.")
    ] = Path("lethe-eval"),
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            max=256,
            help="Prompts at once; in float32 answers are the same, log-likelihoods to some 1e-4.",
        ),
    ] = 8,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Of each answer; more where answers are sentences.")
    ] = 24,
    retain: Annotated[
        Path | None,
        typer.Option(help="JSON lines of text that must stay; default: general text."),
    ] = None,
    texts: Annotated[int, typer.Option(min=0, help="How many of its texts are read.")] = 200,
    top_logprobs: Annotated[
        int, typer.Option(min=1, help="Likeliest tokens to ask for: the server's --max-logprobs.")
    ] = 20,
    attach: Annotated[
        bool,
        typer.Option(
            "--attach", help="Give the evidence to the server, or put it beside the file."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what a profile has forgotten and kept, beside the base, and write it as evidence.

    What was answered is kept: the same command goes on from there.
    """
    from lethe_server.evaluating import attaching, command

    asked = command.Asked(
        tuple(suites), split, tuple(forget or ()), retain, texts, tuple(forms or ())
    )
    if offline:
        file = Path(profile)
        within = command.in_process(file, model, max_tokens, jobs)
        found = command.evidence(within, asked, out, max_tokens)
        if attach:
            attaching.put_beside(file, found)
    else:
        with closing(connect(url, api_key)) as client:
            served = command.over_http(client, profile, max_tokens, jobs, top_logprobs)
            found = command.evidence(served, asked, out, max_tokens)
            if attach:
                attaching.upload(client, profile, found)
    _say(found, as_json)


def _say(found: "Evidence", as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = found.model_dump(mode="json")
        print_json(document)
        return
    from rich.console import Console

    from lethe_server.evaluating import showing

    showing.show(found, Console())
