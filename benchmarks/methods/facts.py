"""The facts that are asked about, and the rule that parts those for tuning from those reported."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lethe_projections.evaluation import split as splits

FACTS = Path(__file__).parents[1] / "data" / "facts.jsonl"
SPLITS = ("development", "reported")
SPLIT_RULE = (
    "development: subjects whose sha256 begins with a hexadecimal digit from 0 to 7, and France, "
    "Germany, Italy and Japan; reported: the others"
)

ALWAYS_DEVELOPMENT = frozenset({"France", "Germany", "Italy", "Japan"})
"""Asked about in README, tests and earlier measurements."""


@dataclass(frozen=True)
class Fact:
    """One fact and the wordings that ask for it.

    Attributes:
        id: `relation/subject`.
        relation: what kind, e.g. "capital".
        subject: what it is about.
        answer: what is asked for.
        distractors: three wrong answers of the same kind.
        qa, cloze: questions for the answer, and sentences that it completes.
        reverse_qa, reverse_cloze: the same for the subject, from the answer; may be empty.
    """

    id: str
    relation: str
    subject: str
    answer: str
    distractors: tuple[str, ...]
    qa: tuple[str, ...]
    cloze: tuple[str, ...]
    reverse_qa: tuple[str, ...]
    reverse_cloze: tuple[str, ...]

    @property
    def split(self) -> str:
        """`SPLIT_RULE`, applied."""
        found = splits.of(self.subject)
        development = found == splits.DEVELOPMENT or self.subject in ALWAYS_DEVELOPMENT
        return "development" if development else "reported"


def load(path: Path = FACTS) -> tuple[Fact, ...]:
    """Reads the facts in file order."""
    return tuple(_fact(json.loads(line)) for line in path.read_text("utf-8").splitlines())


def _fact(row: dict[str, str | list[str]]) -> Fact:
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}
    return Fact(**values)  # type: ignore[arg-type]


def of_split(facts: Iterable[Fact], split: str, per_relation: int | None = None) -> list[Fact]:
    """The facts of a split in the order of their subjects' sha256, at most so many a relation."""
    ordered = sorted(
        (f for f in facts if f.split == split), key=lambda fact: splits.digest(fact.subject)
    )
    taken: dict[str, int] = {}
    chosen = []
    for fact in ordered:
        taken[fact.relation] = taken.get(fact.relation, 0) + 1
        if per_relation is None or taken[fact.relation] <= per_relation:
            chosen.append(fact)
    return chosen


def data_digest(path: Path = FACTS) -> str:
    """sha256 of the file, 64 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
