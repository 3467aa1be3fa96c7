"""The same profile through `lethe serve`, asked by HTTP: is what was measured what is served?"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.evidence import measuring
from benchmarks.evidence.measuring import MAX_TOKENS, REPORTED, Measured, Plan
from lethe_server import demo
from lethe_server.client import Client
from lethe_server.evaluating import command, running, summing_up
from lethe_server.evaluating.evidence import Evidence
from lethe_server.evaluating.folder import BASE, Folder
from lethe_server.evaluating.records import Records, Row
from lethe_server.evaluating.work import Work

JOBS, TOP_LOGPROBS = 16, 20
OPTIONS = ("--max-model-len", "1024", "--sites", "block,mlp,down_proj")
DTYPES = ("float32", "bfloat16")
"""Of the engine; the profile was fitted and measured in process in the first."""


@dataclass(frozen=True)
class Served:
    """What the server showed.

    Attributes:
        dtype: of the engine.
        evidence: measured over HTTP.
        prompts: answers that both gave, of base and variant.
        recovered: how many of them brought up what was asked for alike.
        same: how many were the same to the letter; likelihoods are not counted.
        said: how many were texts.
    """

    dtype: str
    evidence: Evidence
    prompts: int
    recovered: int
    same: int
    said: int


def served(plan: Plan, found: Measured, suite: str, dtype: str, console: Console) -> Served:
    """Asks a server everything that was asked in process.

    Raises:
        LetheError: the server did not start, or an answer is not the profile's.
    """
    folder = plan.work / "served" / dtype
    # What a server of other code answered would agree with anything.
    shutil.rmtree(folder, ignore_errors=True)
    name = found.candidate.method
    with _server(folder, found, dtype, console) as url, closing(Client(url)) as client:
        answerer = command.over_http(client, name, MAX_TOKENS, JOBS, TOP_LOGPROBS)
        kept = Folder(folder / suite, command.in_common(answerer.subject, MAX_TOKENS))
        asked = _asked(suite, reads=not answerer.subject.unread)
        running.run(answerer, asked, kept)
        evidence = summing_up.evidence(answerer.subject, asked, kept, MAX_TOKENS)
        kept.write(evidence)
    within = plan.work / REPORTED / suite / found.made.digest
    files = (BASE, f"{found.made.digest}.jsonl")
    pairs = [pair for file in files for pair in _both(within / file, kept.path / file, asked)]
    said = [(one, other) for one, other in pairs if "text" in one]
    return Served(
        dtype,
        evidence,
        len(pairs),
        sum(one["recovered"] == other["recovered"] for one, other in pairs),
        sum(one["text"] == other["text"] for one, other in said),
        len(said),
    )


def _asked(suite: str, reads: bool) -> Work:
    """All that was asked in process, but for what a server cannot read with this profile."""
    found = measuring.asked(suite, measuring.parts(suite).reported if reads else ())
    return replace(found, ranks=reads)


def _both(one: Path, other: Path, asked: Work) -> Iterator[tuple[Row, Row]]:
    """Rows of the same prompts."""
    mine, theirs = Records(one), Records(other)
    keys = {question.prompt.key for question in asked.every()}
    yield from ((mine[key], theirs[key]) for key in keys if key in mine and key in theirs)


@contextmanager
def _server(folder: Path, found: Measured, dtype: str, console: Console) -> Iterator[str]:
    profiles = folder / "profiles"
    profiles.mkdir(parents=True)
    shutil.copyfile(found.made.path, profiles / f"{found.candidate.method}.safetensors")
    log, options = folder / "server.log", ("--dtype", dtype, *OPTIONS)
    with demo.serving(profiles, _free_port(), log, options) as server:
        demo.wait_until_healthy(server, console)
        yield server.url


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((demo.HOST, 0))
        return int(listening.getsockname()[1])
