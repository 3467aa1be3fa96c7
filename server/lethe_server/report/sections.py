"""What stands on a page, in its order. Draws, and writes no HTML."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from lethe_server.attacks.document import MEANING, Attack, Kind
from lethe_server.evaluating.evidence import Evidence
from lethe_server.report.gather import Results
from lethe_server.report.grouping import Board, Conditions, Tried, boards, comparable, tried
from lethe_server.report.labels import Labels, labels
from lethe_server.report.plots import balance, curves, forms, worst
from lethe_server.report.plots.drawing import Drawing

TOGETHER = "Profiles to which the same was done"
KINDS = (Kind.PROBING, Kind.RELEARNING, Kind.QUANTISATION, Kind.REQUESTS)


@dataclass(frozen=True)
class Group:
    """Boards of the same conditions."""

    conditions: Conditions
    boards: tuple[Board, ...]

    @property
    def texts(self) -> set[str]:
        """The digests of the retain texts that its rows were read on."""
        return {one for board in self.boards for one in board.texts}


@dataclass(frozen=True)
class Shown:
    """Drawings below a heading, with what they are of."""

    heading: str
    said: str
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True)
class Attacked:
    """Everything of one kind."""

    heading: str
    meaning: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Profile:
    """Everything of one profile."""

    label: str
    digest: str
    evidence: tuple[Evidence, ...]
    attacks: tuple[Attack, ...]


@dataclass(frozen=True)
class Sections:
    """A page."""

    groups: tuple[Group, ...]
    plots: tuple[Shown, ...]
    attacks: tuple[Attacked, ...]
    profiles: tuple[Profile, ...]


def sections(found: Results) -> Sections:
    """All of them, drawn."""
    called = labels((*found.evidence, *found.attacks))
    rows = boards(found.evidence, called)
    grouped = groupby(rows, lambda board: board.conditions)
    return Sections(
        tuple(Group(conditions, tuple(members)) for conditions, members in grouped),
        tuple(_board(board, f"p{place}-") for place, board in enumerate(rows)),
        tuple(_attacks(found.attacks, called)),
        tuple(_profiles(found, called)),
    )


def _board(board: Board, prefix: str) -> Shown:
    plans = (balance.plan(board), worst.plan(board), forms.plan(board))
    drawn = [one.draw(f"{prefix}{place}-") for place, one in enumerate(plans) if one is not None]
    return Shown(board.suite, board.conditions.said, tuple(drawn))


def _attacks(found: Sequence[Attack], called: Labels) -> Iterator[Attacked]:
    by_kind = tried(found, called)
    for kind in (one for one in KINDS if one in by_kind):
        alike = comparable(by_kind[kind])
        shown = [_together(members, f"{kind}s{place}-") for place, members in enumerate(alike)]
        shown += [_curves(one, f"{kind}{place}-") for place, one in enumerate(by_kind[kind])]
        yield Attacked(str(kind).capitalize(), MEANING[kind], tuple(shown))


def _together(members: Sequence[Tried], prefix: str) -> Shown:
    first = members[0].found
    said = f"{first.curves[0].name}; {Conditions.of(first).said}"
    return Shown(TOGETHER, said, (curves.together(members).draw(prefix),))


def _curves(one: Tried, prefix: str) -> Shown:
    said = Conditions.of(one.found).said
    return Shown(one.label, said, (curves.plan(one).draw(prefix),))


def _profiles(found: Results, called: Labels) -> Iterator[Profile]:
    for digest, label in sorted(called.items(), key=lambda item: (item[1], item[0])):
        evidence = tuple(one for one in found.evidence if one.digest == digest)
        attacks = tuple(one for one in found.attacks if one.digest == digest)
        yield Profile(label, digest, evidence, attacks)
