"""The tables of experiments, for any database of SQLAlchemy. Knows nothing of who uses them.

What is observed hangs on an experiment's `id` rather than its name: a name that is used again after
a deletion starts empty.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateTable

metadata = MetaData()


def _experiment() -> Column[str]:
    return Column(
        "experiment",
        String(32),
        ForeignKey("experiments.id", ondelete="CASCADE"),
        primary_key=True,
    )


experiments = Table(
    "experiments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("salt", String(64), nullable=False),
    Column("control", String(64), nullable=False),
    Column("created", Float(53), nullable=False),
    Column("stopped", Float(53)),
    # Exposures that found no room in memory while the database was away.
    Column("lost", BigInteger, nullable=False, default=0),
)

arms = Table(
    "arms",
    metadata,
    _experiment(),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False),
    Column("profile", String, nullable=False),
    Column("weight", Float(53), CheckConstraint("weight > 0"), nullable=False),
)

exposures = Table(
    "exposures",
    metadata,
    _experiment(),
    Column("request_id", String, primary_key=True),
    Column("unit", String(64), nullable=False),
    Column("arm", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("time", Float(53), nullable=False),
    Column("status", Integer, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    _experiment(),
    Column("id", String, primary_key=True),
    Column("unit", String(64), nullable=False),
    Column("metric", String(64), nullable=False),
    Column("value", Float(53), nullable=False),
    Column("is_bool", Boolean, nullable=False),
    Column("time", Float(53), nullable=False),
)

# The report joins by unit: without these, 50,000 units take SQLite over ten minutes.
Index("exposures_by_unit", exposures.c.experiment, exposures.c.unit, exposures.c.arm)
Index("outcomes_by_unit", outcomes.c.experiment, outcomes.c.unit)

_CREATING = 0x6C65746865
"""The number of PostgreSQL's lock under which tables are made; SQLite has one lock for all."""


def create(engine: Engine) -> None:
    """Makes the tables that are not there yet. Any number of processes may do so at once."""
    with engine.begin() as connection:
        _wait_for_others(connection)
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def _wait_for_others(connection: Connection) -> None:
    # There, two that both find no table both make it, and the second fails.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATING})
