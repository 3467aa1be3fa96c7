"""From all answers to the evidence of a profile."""

import hashlib
from collections import Counter
from collections.abc import Iterator

from lethe_projections.evaluation.suite import Suite
from lethe_server.evaluating import balancing, keeping, measuring, outcomes, recovering
from lethe_server.evaluating.answering import Subject
from lethe_server.evaluating.evidence import Evidence, SuiteEvidence
from lethe_server.evaluating.folder import Folder
from lethe_server.evaluating.records import Records
from lethe_server.evaluating.work import Work


def evidence(subject: Subject, asked: Work, folder: Folder, max_tokens: int) -> Evidence:
    """Of answers that are all there.

    Args:
        subject: whose.
        asked: what.
        folder: with the answers.
        max_tokens: of an answer.

    Raises:
        LetheError: the base knows nothing of what should be forgotten.
    """
    base, variant = folder.base(), folder.variant(subject.digest)
    return Evidence(
        digest=subject.digest,
        method=subject.method,
        model=subject.model,
        by=subject.by,
        engine=subject.engine,
        dtype=subject.dtype,
        split=asked.split,
        max_tokens=max_tokens,
        suites=[_suite(one, asked, base, variant) for one in asked.suites],
        retain=keeping.retained(asked, variant, subject.divergence) if asked.texts else None,
        left_out=list(_left_out(subject, asked)),
    )


def _left_out(subject: Subject, asked: Work) -> Iterator[str]:
    if subject.unread:
        yield f"ranking, retain text: {subject.unread}"
    if asked.forms:
        yield f"all forms but {', '.join(asked.forms)}: not asked"
    yield from asked.left_out


def _suite(suite: Suite, asked: Work, base: Records, variant: Records) -> SuiteEvidence:
    questions = asked.questions(suite)
    found, count = outcomes.pairs(questions, base, variant), recovering.asked(questions)
    forget, pooled = recovering.forms(found, count, "forget"), recovering.together(found, count)
    return SuiteEvidence(
        name=suite.name,
        version=suite.version,
        sha256=suite.digest,
        subjects_sha256=_digest(asked.subjects) if asked.subjects else None,
        facts=dict(sorted(Counter(item.set for item in suite.items).items())),
        prompts=len(found),
        headline=recovering.headline(forget, pooled, suite, count),
        forget=forget,
        neighbour=recovering.kept(found, count, "neighbour"),
        unrelated=recovering.kept(found, count, "unrelated"),
        measures=[
            *pooled,
            *balancing.measures(found),
            *measuring.measures(found),
        ],
    )


def _digest(subjects: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(sorted(set(subjects))).encode()).hexdigest()
