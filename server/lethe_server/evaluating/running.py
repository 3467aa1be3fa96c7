"""Asks what is not answered yet, and keeps each answer at once."""

from collections.abc import Iterator, Mapping, Sized
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TypeVar

from lethe_projections.errors import LetheError
from lethe_projections.progress import Progress
from lethe_server.evaluating import outcomes, work
from lethe_server.evaluating.answering import Answered, Answerer, Diverged, Told
from lethe_server.evaluating.folder import Folder
from lethe_server.evaluating.records import KEY, Records, Row
from lethe_server.evaluating.work import Question, Work

DIGITS = 4
"""Of log-likelihoods, in nats: batches of another size differ beyond them, in float32."""

BASE = "base"

T = TypeVar("T")
R = TypeVar("R")


def run(answerer: Answerer, asked: Work, folder: Folder, shown: bool = True) -> None:
    """Answers everything, first by the base, then by the variant.

    Args:
        answerer: both.
        asked: what.
        folder: what is there already is not asked again.
        shown: whether to say on stderr how far it is.

    Raises:
        LetheError: something cannot be answered, or it was interrupted; what was answered stays.
        OSError: an answer cannot be written.
    """
    digest = answerer.subject.digest
    questions = {one.prompt.key: one for one in asked.every()}
    base, variant = folder.base(), folder.variant(digest)
    with _kept(folder):
        _ask(answerer, questions, base, BASE, shown)
    base.finish(lambda row: _labelled(row, questions))
    counted = {key: one for key, one in questions.items() if outcomes.counts(one, base[key])}
    with _kept(folder):
        _ask(answerer, counted, variant, digest, shown)
        _compare(answerer, asked, variant, shown)
    variant.finish(lambda row: _labelled(row, questions))


def answer(question: Question, answered: Answered) -> Row:
    """What a line says of an answer."""
    row: Row = {"text": answered.text}
    if answered.text is None:
        means = [round(one, DIGITS) for one in answered.likelihoods]
        row = {"likelihoods": means, "strength": answered.strength}
    return {**row, "recovered": outcomes.outcome(question, row).recovered}


def _ask(
    answerer: Answerer,
    questions: Mapping[str, Question],
    records: Records,
    served: str,
    shown: bool,
) -> None:
    missing = [one.prompt for key, one in questions.items() if key not in records]
    name = BASE if served == BASE else answerer.subject.profile
    answers = answerer.answers(missing, served != BASE)
    for prompt, answered in _told(answers, questions, missing, f"asking {name}", shown):
        question = questions[prompt.key]
        records.add({**_label(question), **answer(question, answered), "served": served})


def _compare(answerer: Answerer, asked: Work, records: Records, shown: bool) -> None:
    texts = {work.digest(one): one for one in asked.texts}
    missing = [one for key, one in texts.items() if key not in records]
    found = answerer.divergences(missing)
    for text, diverged in _told(found, texts, missing, "reading retain text", shown):
        served = answerer.subject.digest
        records.add({KEY: work.digest(text), **_divergence(diverged), "served": served})


def _told(
    found: Told[T, R], every: Sized, missing: Sized, what: str, shown: bool
) -> Iterator[tuple[T, R]]:
    """The same, with progress."""
    if not missing:
        return
    before = len(every) - len(missing)
    with closing(found), Progress(every, what, shown, unit="prompts") as progress:
        progress.expect(len(every), len(every))
        progress.skip(before, before)
        for one in found:
            yield one
            progress.advance(1, 1)


@contextmanager
def _kept(folder: Folder) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise LetheError(
            f"interrupted: what was answered by then is in {folder.path}; the same command goes on "
            "from there"
        ) from None


def _labelled(row: Row, questions: Mapping[str, Question]) -> Row:
    """With what this run says of its prompt; another run may have other sets."""
    question = questions.get(row[KEY])
    return row if question is None else {**row, **_label(question)}


def _label(question: Question) -> Row:
    """What a line says of its prompt."""
    item, prompt = question.item, question.prompt
    return {
        KEY: prompt.key,
        "suite": question.suite.name,
        "suite_sha256": question.suite.digest,
        "item": item.id,
        "subject": item.subject,
        "set": item.set,
        "form": prompt.form,
        "number": prompt.number,
    }


def _divergence(found: Diverged) -> Row:
    return {name: round(value, DIGITS) for name, value in asdict(found).items()}
