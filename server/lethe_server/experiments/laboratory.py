"""The experiments of one server process: those there are, and what is observed in them."""

import asyncio
from collections.abc import Callable
from typing import Self

from sqlalchemy import Engine
from starlette.types import Scope

from lethe_server.experiments import tables
from lethe_server.experiments.records import Records
from lethe_server.experiments.registry import Registry
from lethe_server.experiments.taking_part import Joining, TakingPart
from lethe_server.experiments.writing import Writer
from lethe_vllm.selection import Selection
from lethe_vllm.store.database import make_tables


class Laboratory:
    """What requests and routes use of experiments.

    Attributes:
        registry: the experiments.
        records: what was observed in them.
        writer: writes what is observed now.
    """

    def __init__(self, engine: Engine, base: str) -> None:
        """Uses a database that has the tables; the experiments are of one base's fingerprint."""
        self.registry = Registry(engine, base)
        self.records = Records(engine)
        self.writer = Writer(self.records.add_exposures)

    @classmethod
    def open(cls, engine: Engine, base: str) -> Self:
        """Makes the tables that the database lacks.

        Args:
            engine: the database.
            base: fingerprint of the base model.

        Raises:
            UnavailableError: it does not answer.
        """
        make_tables(engine, tables.metadata)
        return cls(engine, base)

    async def part(
        self,
        joining: Joining,
        asked: Selection | None,
        scope: Scope,
        check: Callable[[str, Selection], None],
    ) -> TakingPart:
        """A request's part in an experiment.

        Args:
            joining: what it says of that.
            asked: the selection that it makes itself.
            scope: of the request.
            check: given the experiment and what serves the arm, raises what forbids it.

        Raises:
            UnknownExperimentError: no such experiment.
            ConflictError: it is stopped.
            SelectionError: the unit cannot be one, or the selection is not the arm's.
            UnavailableError: the database does not answer.
            LetheError: what `check` raises.
        """
        experiment = await asyncio.to_thread(self.registry.get, joining.experiment)
        return TakingPart(experiment, joining.unit, asked, scope, self.writer, check)

    def close(self) -> None:
        """Writes what is left, and gives the connections back."""
        self.writer.close()
        self.registry.engine.dispose()
