"""The parts put together, as `lethe eval` runs them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lethe_projections.errors import LetheError
from lethe_projections.evaluation.forms import FORMS
from lethe_server.client import Client
from lethe_server.evaluating import running, summing_up, work
from lethe_server.evaluating.answering import Answerer, Subject
from lethe_server.evaluating.evidence import Evidence
from lethe_server.evaluating.folder import Folder
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.over_http import OverHttp, Settings
from lethe_server.evaluating.split import Split
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint


@dataclass(frozen=True)
class Asked:
    """What to ask, by name.

    Attributes:
        suites: names or paths.
        split: which of their subjects.
        forget: subjects; none for the suites' own.
        retain: file of text that must stay; None for what ships.
        texts: how many of it.
        forms: the only ones to ask; none for all.
    """

    suites: tuple[str, ...]
    split: Split = Split.ALL
    forget: tuple[str, ...] = ()
    retain: Path | None = None
    texts: int = 200
    forms: tuple[str, ...] = ()

    def work(self, reads: bool) -> Work:
        """Reads the files.

        Args:
            reads: whether given texts may be read back.

        Raises:
            LetheError: one cannot be read, nothing is left that should be forgotten, or there is no
                such form.
        """
        for form in self.forms:
            if form not in FORMS:
                raise LetheError(f"expected a form of {', '.join(FORMS)}, found {form!r:.40}")
        chosen = (work.chosen(work.suite(one), self.split, self.forget) for one in self.suites)
        texts = work.texts(self.retain, self.texts) if reads else ()
        return Work(tuple(chosen), self.split, self.forget, texts, reads, self.forms)


def over_http(
    client: Client, profile: str, max_tokens: int, jobs: int, top_logprobs: int
) -> Answerer:
    """Raises ServerError: no such server, or profile."""
    return OverHttp(client, profile, Settings(max_tokens, jobs, top_logprobs))


def in_process(file: Path, model: str, max_tokens: int, batch: int) -> Answerer:
    """Raises LetheError: no such model, or profile, or they do not belong together."""
    return InProcess(Checkpoint.load(model, "cpu"), file, max_tokens, batch)


def evidence(answerer: Answerer, asked: Asked, out: Path, max_tokens: int) -> Evidence:
    """Asks what is missing, and writes what follows.

    Raises:
        LetheError: as `Asked.work`, `work.readable`, `running.run` and `summing_up.evidence`.
        OSError: the folder cannot be written.
    """
    subject = answerer.subject
    todo = work.readable(asked.work(reads=not subject.unread), answerer)
    folder = Folder(out, in_common(subject, max_tokens))
    with folder.alone():
        running.run(answerer, todo, folder)
        found = summing_up.evidence(subject, todo, folder, max_tokens)
        folder.write(found)
    return found


def in_common(subject: Subject, max_tokens: int) -> dict[str, Any]:
    """What all answers in a folder have in common."""
    return {
        "model": subject.model,
        "by": subject.by,
        "engine": subject.engine,
        "dtype": subject.dtype,
        "template": subject.template,
        "divergence": subject.divergence,
        "max_tokens": max_tokens,
    }
