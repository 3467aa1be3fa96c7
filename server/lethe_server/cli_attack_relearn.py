"""`lethe attack relearn`: fine-tuning with the edit attached."""

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


def relearn(
    *,
    profile: Profile,
    suites: Suites,
    model: Model = "embedded",
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 4,
    learning_rate: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Of AdamW. At 2e-4 the embedded model learns most facts that do not exist in 100 "
            "steps.",
        ),
    ] = 2e-4,
    rank: Annotated[int, typer.Option(min=1, help="Of the adapters.")] = 16,
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the subjects that are trained on.")
    ] = 0.5,
    every: Annotated[int, typer.Option(min=1, help="Steps between two points.")] = 25,
    seed: Annotated[int, typer.Option(help="Of the adapters, and of the order trained in.")] = 0,
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
    """Fine-tune on some forgotten facts, edit attached, and ask whether the others come back.

    Facts that do not exist are trained on alike: they show what training alone brings.
    """
    from lethe_server.attacks import relearning
    from lethe_server.evaluating import command
    from lethe_server.evaluating.in_process import InProcess
    from lethe_server.fitting import Checkpoint

    settings = relearning.Settings(
        steps, batch, learning_rate, rank, share, every, tuple(form or ()), max_tokens, seed
    )
    asked = command.Asked(tuple(suites), split, tuple(forget or ()), texts=0).work(reads=True)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint.load(model, "cpu")
    answerer = InProcess(checkpoint, profile, max_tokens, jobs)
    finish(relearning.attack(answerer, checkpoint.model, asked, settings), out, as_json)
