"""What was observed in experiments, in a database: exposures and outcomes. Knows no statistics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Table,
    bindparam,
    case,
    func,
    select,
    update,
)
from sqlalchemy.types import String

from lethe_server.experiments import pages
from lethe_server.experiments.experiment import (
    Experiment,
    Exposure,
    Outcome,
    UnknownExperimentError,
)
from lethe_server.experiments.tables import experiments, exposures, outcomes
from lethe_server.experiments.transactions import inserting, transaction
from lethe_vllm.store.database import snapshot


@dataclass(frozen=True)
class Served:
    """How often an arm was served by one profile.

    Attributes:
        arm: its name.
        digest: of the profile.
        exposures: requests.
        errors: those of them whose status was 400 or above.
    """

    arm: str
    digest: str
    exposures: int
    errors: int


@dataclass(frozen=True)
class Measured:
    """What one metric came to for one unit.

    Attributes:
        arm: that the unit was exposed to.
        metric: its name.
        mean: over the unit's outcomes.
        outcomes: how many there are.
        is_bool: whether all of them were false or true.
    """

    arm: str
    metric: str
    mean: float
    outcomes: int
    is_bool: bool


class Records:
    """Exposures and outcomes of every experiment."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add_exposures(self, rows: Sequence[Exposure], lost: Mapping[str, int]) -> None:
        """Writes all or none of these; those of experiments deleted meanwhile have no place.

        Args:
            rows: those that are there already stay as they are.
            lost: how many more there were, by experiment.
        """
        with transaction(self.engine) as connection:
            _insert(connection, exposures, [asdict(row) for row in rows])
            for experiment, count in lost.items():
                more = update(experiments).values(lost=experiments.c.lost + count)
                connection.execute(more.where(experiments.c.id == experiment))

    def add_outcomes(self, experiment: Experiment, rows: Sequence[Outcome]) -> int:
        """Writes all or none of an experiment's outcomes; those that are there stay as they are.

        Returns:
            How many are new.
        """
        ids = {row.id for row in rows}
        query = select(func.count()).where(
            outcomes.c.experiment == experiment.id, outcomes.c.id.in_(ids)
        )
        with transaction(self.engine) as connection:
            known = connection.execute(query).scalar_one()
            _insert(connection, outcomes, [asdict(row) for row in rows])
        return len(ids) - known

    def units_of(self, experiment: Experiment, request_ids: Sequence[str]) -> dict[str, str]:
        """The pseudonym of the unit behind each request.

        Raises:
            UnknownExperimentError: one of them was no exposure.
        """
        columns = exposures.c.request_id, exposures.c.unit
        query = select(*columns).where(
            exposures.c.experiment == experiment.id, exposures.c.request_id.in_(request_ids)
        )
        with transaction(snapshot(self.engine)) as connection:
            found = {request_id: unit for request_id, unit in connection.execute(query)}
        for request_id in request_ids:
            if request_id not in found:
                raise UnknownExperimentError(
                    "outcome: expected the X-Request-Id of an answer of experiment "
                    f"{experiment.name}, found {request_id[:80]!r}; another server process may be "
                    "about to write it: send it again, or send the unit"
                )
        return found

    def served(self, experiment: Experiment) -> list[Served]:
        """Exposures by arm and digest."""
        failed = func.sum(case((exposures.c.status >= 400, 1), else_=0))
        by = exposures.c.arm, exposures.c.digest
        query = select(*by, func.count(), failed).where(exposures.c.experiment == experiment.id)
        with transaction(snapshot(self.engine)) as connection:
            return [Served(*row) for row in connection.execute(query.group_by(*by).order_by(*by))]

    def units(self, experiment: Experiment) -> dict[str, int]:
        """How many units each arm was exposed to, by its name."""
        query = select(exposures.c.arm, func.count(exposures.c.unit.distinct()))
        here = exposures.c.experiment == experiment.id
        with transaction(snapshot(self.engine)) as connection:
            found = connection.execute(query.where(here).group_by(exposures.c.arm))
            return {arm: count for arm, count in found}

    def measured(self, experiment: Experiment) -> list[Measured]:
        """Every metric of every unit that was exposed."""
        exposed = _exposed(experiment).subquery()
        by = exposed.c.arm, outcomes.c.metric, outcomes.c.unit
        all_bool = func.min(case((outcomes.c.is_bool, 1), else_=0))
        query = (
            select(*by[:2], func.avg(outcomes.c.value), func.count(), all_bool)
            .join_from(outcomes, exposed, outcomes.c.unit == exposed.c.unit)
            .where(outcomes.c.experiment == experiment.id)
            .group_by(*by)
            .order_by(*by)
        )
        with transaction(snapshot(self.engine)) as connection:
            rows = connection.execute(query).all()
        return [Measured(arm, metric, mean, n, bool(both)) for arm, metric, mean, n, both in rows]

    def unexposed(self, experiment: Experiment) -> int:
        """Outcomes of units that no exposure was recorded of."""
        exposed = select(exposures.c.unit).where(exposures.c.experiment == experiment.id)
        query = select(func.count()).where(
            outcomes.c.experiment == experiment.id, outcomes.c.unit.not_in(exposed)
        )
        with transaction(snapshot(self.engine)) as connection:
            return connection.execute(query).scalar_one()

    def export(self, experiment: Experiment) -> Iterator[dict[str, Any]]:
        """Every record as it is, as `pages.records`."""
        return pages.records(self.engine, experiment)


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    values = [bindparam(column.name, type_=column.type) for column in table.columns]
    exists = experiments.c.id == bindparam("of", type_=String)
    adding = inserting(connection, table).from_select(
        [column.name for column in table.columns], select(*values).where(exists)
    )
    connection.execute(
        adding.on_conflict_do_nothing(), [{**row, "of": row["experiment"]} for row in rows]
    )


def _exposed(experiment: Experiment) -> Select[tuple[str, str]]:
    """The units that took part; a unit is in one arm."""
    columns = exposures.c.unit, exposures.c.arm
    return select(*columns).where(exposures.c.experiment == experiment.id).distinct()
