"""Which numbers may stand side by side: those of one base model, asked the same in the same way."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from lethe_projections import strict_json
from lethe_server.attacks.document import Attack, Kind
from lethe_server.evaluating.evidence import Evidence, Measure, SuiteEvidence
from lethe_server.report import text
from lethe_server.report.labels import Labels

KL = "KL"
"""What retain text's first measure is called."""

NEIGHBOURS = "neighbours"
"""What a suite's measure over all forms of them is called."""


@dataclass(frozen=True, order=True)
class Conditions:
    """How a document's numbers were taken. Those of others are not mixed with them.

    Attributes:
        model: fingerprint of the base model.
        split: which subjects.
        how: through what, by what, in which number format, up to how many tokens, and what of it
            was left out.
    """

    model: str
    split: str
    how: str

    @classmethod
    def of(cls, found: Evidence | Attack) -> "Conditions":
        """Of a document."""
        how = [found.engine, found.dtype or "number format not told"]
        if isinstance(found, Evidence):
            way = "over HTTP" if found.by == "http" else "offline"
            how = [way, *how, f"{found.max_tokens} tokens an answer"]
            how += [f"left out: {one}" for one in found.left_out]
        return cls(found.model, found.split, text.listed(how))

    @property
    def said(self) -> str:
        """As words."""
        return f"base model {text.short(self.model)}; subjects: {self.split}; {self.how}"


def questions(suite: SuiteEvidence) -> tuple[str, str]:
    """What a suite asked: its file, and which subjects should be forgotten, if they were chosen."""
    return suite.sha256, suite.subjects_sha256 or ""


@dataclass(frozen=True)
class Row:
    """What one suite shows of one profile.

    Attributes:
        label: what the profile is called.
        found: the document that it is from.
        suite: its part.
    """

    label: str
    found: Evidence
    suite: SuiteEvidence

    @property
    def worst(self) -> Measure:
        """The worst form."""
        name = self.suite.headline.worst_form
        return next(one for one in self.suite.forget if one.name == name)

    @property
    def neighbours(self) -> Measure | None:
        """What the headline has of them, with its interval."""
        return next((one for one in self.suite.measures if one.name == NEIGHBOURS), None)

    @property
    def kl(self) -> Measure | None:
        """On retain text."""
        measures = [] if self.found.retain is None else self.found.retain.measures
        return next((one for one in measures if one.name == KL), None)


@dataclass(frozen=True)
class Board:
    """Rows that may stand side by side, the best first.

    Attributes:
        conditions: how all of them were measured.
        suite: what all of them were asked, as words.
        rows: one a profile.
    """

    conditions: Conditions
    suite: str
    rows: tuple[Row, ...]

    @property
    def texts(self) -> set[str]:
        """The digests of the retain texts that its rows were read on."""
        return {row.found.retain.sha256 for row in self.rows if row.found.retain is not None}


@dataclass(frozen=True)
class Tried:
    """An attack, and what its profile is called."""

    label: str
    found: Attack


def boards(evidence: Iterable[Evidence], labels: Labels) -> list[Board]:
    """Every row, on its board."""
    parted: dict[Hashable, list[Row]] = {}
    for one in evidence:
        for row in (Row(labels[one.digest], one, suite) for suite in one.suites):
            parted.setdefault((Conditions.of(one), questions(row.suite)), []).append(row)
    boards = [_board(rows) for rows in parted.values()]
    return sorted(boards, key=lambda board: (board.conditions, board.suite))


def tried(attacks: Iterable[Attack], labels: Labels) -> dict[Kind, list[Tried]]:
    """Attacks by kind, each kind's by base model and label; only kinds that were tried."""
    found = [Tried(labels[one.digest], one) for one in attacks]
    found.sort(key=lambda one: (Conditions.of(one.found), one.label))
    by_kind = {kind: [one for one in found if one.found.kind is kind] for kind in Kind}
    return {kind: members for kind, members in by_kind.items() if members}


def comparable(members: Iterable[Tried]) -> list[list[Tried]]:
    """Attacks of a kind by what was done, where it was done to several profiles."""
    parted: dict[Hashable, list[Tried]] = {}
    for one in members:
        parted.setdefault(_done(one.found), []).append(one)
    return [alike for alike in parted.values() if len(alike) > 1]


def _done(found: Attack) -> Hashable:
    settings = strict_json.dumps(found.settings)
    suites = tuple(one.sha256 for one in found.suites)
    looked_at = found.curves[0].name, found.curves[0].formula
    return Conditions.of(found), settings, suites, found.axis, looked_at


def _board(rows: list[Row]) -> Board:
    suite = rows[0].suite
    chosen = suite.subjects_sha256
    which = f" of the subjects {text.short(chosen)}" if chosen else ""
    said = f"{suite.name} {suite.version} ({text.short(suite.sha256)}){which}"
    return Board(Conditions.of(rows[0].found), said, tuple(sorted(rows, key=_rank)))


def _rank(row: Row) -> tuple[float, float, str]:
    return row.worst.value, -(row.suite.headline.neighbours or 0.0), row.label
