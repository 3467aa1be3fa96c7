"""The experiments there are, in a database. Knows nothing of what is observed in them."""

import secrets
import time
import uuid
from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    delete,
    insert,
    select,
    update,
)

from lethe_server.experiments.experiment import (
    Arm,
    Experiment,
    Plan,
    UnknownExperimentError,
)
from lethe_server.experiments.tables import arms, experiments
from lethe_server.experiments.transactions import inserting, transaction
from lethe_vllm.errors import ConflictError
from lethe_vllm.store.database import snapshot


class Registry:
    """One base model's experiments by name. Each call asks the database, so all processes agree."""

    def __init__(self, engine: Engine, base: str) -> None:
        """Uses a database that has the tables.

        Args:
            engine: the database.
            base: fingerprint of the base model.
        """
        self.engine, self.base = engine, base

    def create(self, plan: Plan) -> tuple[Experiment, bool]:
        """Starts an experiment; one that is there with the same plan is left as it is.

        Returns:
            The experiment, and whether it is new.

        Raises:
            ConflictError: one of that name has another plan.
        """
        identity = uuid.uuid4().hex
        row = {
            "id": identity,
            "base": self.base,
            "name": plan.name,
            "salt": secrets.token_hex(16),
            "control": plan.control,
            "created": time.time(),
        }
        with transaction(self.engine) as connection:
            adding = inserting(connection, experiments).values(row).on_conflict_do_nothing()
            is_new = connection.execute(adding.returning(experiments.c.id)).scalar() is not None
            if is_new:
                connection.execute(insert(arms), _arm_rows(identity, plan))
            found = self._by_name(connection, plan.name)
        if found.plan != plan:
            raise ConflictError(
                f"experiment {plan.name}: expected the arms and control that it was created with "
                f"({_described(found.plan)}), found {_described(plan)}; an experiment cannot be "
                "changed: choose another name"
            )
        return found, is_new

    def get(self, name: str) -> Experiment:
        """The experiment of that name, as it is now.

        Raises:
            UnknownExperimentError: there is none.
        """
        with transaction(snapshot(self.engine)) as connection:
            return self._by_name(connection, name)

    def list(self) -> list[Experiment]:
        """Every experiment, by name."""
        with transaction(snapshot(self.engine)) as connection:
            query = _every().where(experiments.c.base == self.base)
            return _experiments(connection, query.order_by(experiments.c.name, arms.c.place))

    def stop(self, name: str) -> Experiment:
        """No request takes part from now on; one that was stopped before is left as it is.

        Raises:
            UnknownExperimentError: there is none.
        """
        stopping = update(experiments).where(self._is(name), experiments.c.stopped.is_(None))
        with transaction(self.engine) as connection:
            connection.execute(stopping.values(stopped=time.time()))
            return self._by_name(connection, name)

    def delete(self, name: str) -> None:
        """Forgets an experiment and all that was observed in it.

        Raises:
            UnknownExperimentError: there is none.
        """
        with transaction(self.engine) as connection:
            gone = connection.execute(delete(experiments).where(self._is(name)))
            if not gone.rowcount:
                raise _unknown(name)

    def _by_name(self, connection: Connection, name: str) -> Experiment:
        query = _every().where(self._is(name)).order_by(arms.c.place)
        found = _experiments(connection, query)
        if not found:
            raise _unknown(name)
        return found[0]

    def _is(self, name: str) -> ColumnElement[bool]:
        return and_(experiments.c.base == self.base, experiments.c.name == name)


def _every() -> Select[tuple[object, ...]]:
    columns = arms.c.name.label("arm"), arms.c.profile, arms.c.weight
    joined = experiments.join(arms, experiments.c.id == arms.c.experiment)
    return select(experiments, *columns).select_from(joined)


def _unknown(name: str) -> UnknownExperimentError:
    return UnknownExperimentError(
        f"experiment: expected one that exists, found {name[:80]!r}; "
        "GET /v1/unlearning/experiments lists them"
    )


def _experiments(connection: Connection, query: Select[tuple[object, ...]]) -> list[Experiment]:
    rows: dict[str, list[Row[tuple[object, ...]]]] = {}
    for row in connection.execute(query):
        rows.setdefault(row.id, []).append(row)
    return [_experiment(of_one) for of_one in rows.values()]


def _experiment(rows: Sequence[Row[tuple[object, ...]]]) -> Experiment:
    first = rows[0]
    of = tuple(Arm(row.arm, row.profile, row.weight) for row in rows)
    plan = Plan(first.name, of, first.control)
    return Experiment(first.id, plan, first.salt, first.created, first.stopped, first.lost)


def _arm_rows(experiment: str, plan: Plan) -> list[dict[str, object]]:
    return [
        {"experiment": experiment, "place": place, **vars(arm)}
        for place, arm in enumerate(plan.arms)
    ]


def _described(plan: Plan) -> str:
    of = ", ".join(f"{arm.name}={arm.profile}:{arm.weight:g}" for arm in plan.arms)
    return f"{of[:200]}, control {plan.control}"
