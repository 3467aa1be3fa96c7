"""A tiny model, and a suite of what it happens to say: the first words of its answers are true."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_projections.evaluation.prompt import Prompt
from lethe_server.evaluating import command
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint
from tests.unit.server.evaluating.test_in_process import WORDS, checkpoint, profile

__all__ = ["Made", "checkpoint"]

QUESTION, CLOZE = "what is the {subject} ?", "the city of {subject} is"
WRONG = ["north", "five"]
SUBJECTS = [one for one in WORDS[4:] if one not in ("?", "what", "is", "the", "of", "city", *WRONG)]
Made = Callable[..., InProcess]


@pytest.fixture
def answerer(checkpoint: Checkpoint, tmp_path: Path) -> Made:
    """Of a profile that edits as strongly as said; 0 is none."""

    def make(scale: float, scope: str = "all") -> InProcess:
        file = tmp_path / f"{scale}{scope}.safetensors"
        artifact.write(profile(scale, scope), file)
        return InProcess(checkpoint, file, 4)

    return make


@pytest.fixture
def said(answerer: Made, tmp_path: Path) -> Path:
    """A suite's file."""
    asked = {
        (subject, form): Prompt(form, (wording.format(subject=subject),), ("x",))
        for subject in SUBJECTS
        for form, wording in (("question", QUESTION), ("cloze", CLOZE))
    }
    told = dict(answerer(0.0).answers(list(asked.values()), False))
    forms = {"question": [QUESTION], "cloze": [CLOZE], "ranking": [QUESTION]}
    about = {"name": "said", "version": "1", "description": "Said.", "licence": "CC0-1.0"}
    lines: list[Any] = [{"suite": 1, **about, "relations": {"it": {"forms": forms}}}]
    for place, subject in enumerate(SUBJECTS):
        words = [(told[asked[subject, form]].text or "").split() for form in ("question", "cloze")]
        answers = {some[0] for some in words if some} - {*WRONG, subject, "city"}
        answers -= set(f"{QUESTION} {CLOZE}".split())
        if answers:
            kind = {0: "neighbour", 3: "unrelated"}.get(place % 5, "forget")
            lines.append(fact(subject, kind, sorted(answers)))
    lines += [fact(f"{one} {one}", "never_known", ["Nila"]) for one in SUBJECTS[:10]]
    file = tmp_path / "said.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def fact(subject: str, kind: str, answers: list[str]) -> dict[str, Any]:
    about = {"subject": subject, "relation": "it", "set": kind}
    return {**about, "answers": answers, "wrong": WRONG}


@pytest.fixture
def asked(said: Path) -> Work:
    return command.Asked((str(said),), texts=0).work(reads=True)
