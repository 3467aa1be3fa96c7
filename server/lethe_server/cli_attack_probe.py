"""`lethe attack probe`: linear probes on hidden states."""

from pathlib import Path
from typing import Annotated

import typer

from lethe_server.cli_attack_options import (
    FOLDER,
    Forget,
    Jobs,
    Model,
    Out,
    Profile,
    Suites,
    WhichSplit,
    finish,
)
from lethe_server.cli_options import AsJson
from lethe_server.evaluating.split import Split


def probe(
    *,
    profile: Profile,
    suites: Suites,
    model: Model = "embedded",
    form: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask in this form; may be given several times. Default: question, cloze, fill_in, "
            "prefix."
        ),
    ] = None,
    forget: Forget = None,
    split: WhichSplit = Split.ALL,
    retain: Annotated[
        Path | None,
        typer.Option(help="JSON lines of text to fit on; default: general text."),
    ] = None,
    texts: Annotated[int, typer.Option(min=1, help="How many of its texts are read.")] = 200,
    out: Out = FOLDER,
    jobs: Jobs = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffling in a control.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read forgotten facts from the hidden states after each block, with linear maps.

    Nothing is generated: it says what is still inside, not what comes out.
    """
    from lethe_server.attacks import probing
    from lethe_server.evaluating import command, work
    from lethe_server.evaluating.in_process import InProcess
    from lethe_server.fitting import Checkpoint

    settings = probing.Settings(tuple(form or ()), seed, jobs)
    given = command.Asked(tuple(suites), split, tuple(forget or ()), retain, texts)
    asked = given.work(reads=True)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint.load(model, "cpu")
    answerer = InProcess(checkpoint, profile, batch=jobs)
    asked = work.readable(asked, answerer)
    finish(probing.attack(answerer, checkpoint, asked, settings), out, as_json)
