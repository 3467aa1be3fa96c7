"""`lethe attack requests`: requests to forget, one after the other."""

from pathlib import Path
from typing import Annotated

import typer

from lethe_server.cli_attack_options import (
    FOLDER,
    Jobs,
    MaxTokens,
    Model,
    Out,
    Suites,
    WhichSplit,
    finish,
)
from lethe_server.cli_options import AsJson
from lethe_server.evaluating.split import Split


def requests(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="SCHEDULE", help="JSON of the requests in order; docs/attacks.md has its form."
        ),
    ],
    suites: Suites,
    model: Model = "embedded",
    split: WhichSplit = Split.ALL,
    retain: Annotated[
        Path | None,
        typer.Option(help="JSON lines of text that must stay; default: general text."),
    ] = None,
    texts: Annotated[int, typer.Option(min=0, help="How many of its texts are read.")] = 200,
    out: Out = FOLDER,
    jobs: Jobs = 8,
    max_tokens: MaxTokens = 24,
    as_json: AsJson = False,
) -> None:
    """After each of several requests, ask about everything that was requested so far.

    What was answered is kept: the same command goes on from there.
    """
    from lethe_server.attacks import requests, schedule
    from lethe_server.evaluating import command, work
    from lethe_server.fitting import Checkpoint

    read = schedule.read(file)
    asked = command.Asked(tuple(suites), split, read.subjects, retain, texts).work(reads=True)
    checkpoint = Checkpoint.load(model, "cpu")
    asking = requests.answerers(read, checkpoint, max_tokens, jobs)
    folder = requests.opened(out, asking[0], max_tokens)
    finish(requests.attack(read, asking, work.readable(asked, asking[0]), folder), out, as_json)
