"""`lethe attack quantise`: the same edit on a base of fewer bits."""

from typing import Annotated

import typer

from lethe_server.cli_attack_options import (
    FOLDER,
    Forget,
    Jobs,
    MaxTokens,
    Model,
    Out,
    Profile,
    Suites,
    WhichSplit,
    finish,
)
from lethe_server.cli_options import AsJson
from lethe_server.evaluating.split import Split


def quantise(
    *,
    profile: Profile,
    suites: Suites,
    model: Model = "embedded",
    bits: Annotated[
        list[int] | None,
        typer.Option(help="Of a weight, 2 to 15; may be given several times. Default: 8 and 4."),
    ] = None,
    group: Annotated[
        int, typer.Option(min=1, help="Weights of a row that share a scale, if it divides the row.")
    ] = 64,
    form: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask in this form; may be given several times. Default: question, cloze, ranking."
        ),
    ] = None,
    forget: Forget = None,
    split: WhichSplit = Split.ALL,
    out: Out = FOLDER,
    jobs: Jobs = 32,
    max_tokens: MaxTokens = 24,
    as_json: AsJson = False,
) -> None:
    """Round the base's weights to fewer bits, keep the edit, and ask what is hidden now.

    Each linear layer of the decoder is rounded to the nearest level, as plain quantisers do.
    """
    from lethe_server.attacks import quantisation
    from lethe_server.evaluating import command
    from lethe_server.evaluating.in_process import InProcess
    from lethe_server.fitting import Checkpoint

    settings = quantisation.Settings(tuple(bits or (8, 4)), group, tuple(form or ()), max_tokens)
    asked = command.Asked(tuple(suites), split, tuple(forget or ()), texts=0).work(reads=True)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint.load(model, "cpu")
    answerer = InProcess(checkpoint, profile, max_tokens, jobs)
    finish(quantisation.attack(answerer, checkpoint.model, asked, settings), out, as_json)
