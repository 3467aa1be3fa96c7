"""Every record of an experiment as it is, a page at a time. Knows nothing of how it is shown.

A page is a transaction of its own, so whoever reads slowly keeps no connection meanwhile. What was
there at the beginning is told whole all the same: records never change, and are gone only when
their experiment is, which is an error then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    Tuple,
    literal,
    select,
    tuple_,
)

from lethe_server.experiments.experiment import Experiment, UnknownExperimentError
from lethe_server.experiments.tables import exposures, outcomes
from lethe_server.experiments.transactions import transaction
from lethe_vllm.store.database import snapshot

PAGE = 1000
"""Records that are read at once, and held in memory."""

_Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Kind:
    """The records of one kind.

    Attributes:
        rows: all that the experiment has.
        key: what they are ordered by; no two have the same.
    """

    rows: Select[tuple[Any, ...]]
    key: tuple[Column[Any], ...]


def records(engine: Engine, experiment: Experiment) -> Iterator[dict[str, Any]]:
    """Exposures first, each kind in the order of time; what comes meanwhile may be among them.

    Raises:
        UnavailableError: the database does not answer.
        UnknownExperimentError: the experiment was deleted meanwhile.
    """
    kinds = _exposures(experiment), _outcomes(experiment)
    with transaction(snapshot(engine)) as connection:
        ends = [_end(connection, kind) for kind in kinds]
    for kind, end in zip(kinds, ends, strict=True):
        for row in _until(end, kind, engine, experiment):
            yield dict(row)


def _until(
    end: _Key | None, kind: _Kind, engine: Engine, experiment: Experiment
) -> Iterator[RowMapping]:
    last: _Key | None = None
    while last != end:
        with transaction(snapshot(engine)) as connection:
            rows = connection.execute(_page(kind, last, end)).mappings().all()
        if not rows:
            raise UnknownExperimentError(
                f"experiment {experiment.name}: expected more records of it, found it deleted "
                "while they were read; what was read is not all"
            )
        yield from rows
        last = tuple(rows[-1][column.name] for column in kind.key)


def _end(connection: Connection, kind: _Kind) -> _Key | None:
    """The key of the last record; None if there is none."""
    descending = [column.desc() for column in kind.key]
    query = kind.rows.with_only_columns(*kind.key).order_by(*descending).limit(1)
    found = connection.execute(query).one_or_none()
    return None if found is None else tuple(found)


def _page(kind: _Kind, last: _Key | None, end: _Key | None) -> Select[tuple[Any, ...]]:
    bounds: list[ColumnElement[bool]] = [tuple_(*kind.key) <= _literals(end)]
    if last is not None:
        bounds.append(tuple_(*kind.key) > _literals(last))
    return kind.rows.where(*bounds).order_by(*kind.key).limit(PAGE)


def _literals(key: _Key | None) -> Tuple:
    return tuple_(*map(literal, key or ()))


def _exposures(experiment: Experiment) -> _Kind:
    columns = exposures.c.time, exposures.c.unit, exposures.c.arm
    more = exposures.c.request_id, exposures.c.digest, exposures.c.status
    rows = select(literal("exposure").label("record"), *columns, *more)
    here = exposures.c.experiment == experiment.id
    return _Kind(rows.where(here), (exposures.c.time, exposures.c.request_id))


def _outcomes(experiment: Experiment) -> _Kind:
    # Looked up for each outcome: SQLite has no index of a joined subquery here.
    arm = (
        select(exposures.c.arm)
        .where(exposures.c.experiment == experiment.id, exposures.c.unit == outcomes.c.unit)
        .limit(1)
        .scalar_subquery()
    )
    columns = outcomes.c.time, outcomes.c.unit, arm.label("arm"), outcomes.c.id
    more = outcomes.c.metric, outcomes.c.value, outcomes.c.is_bool
    rows = select(literal("outcome").label("record"), *columns, *more)
    here = outcomes.c.experiment == experiment.id
    return _Kind(rows.where(here), (outcomes.c.time, outcomes.c.id))
