"""The tables of experiments, for any database of SQLAlchemy. Knows nothing of who uses them.

Experiments belong to one base model, by its fingerprint, as the names of profiles do. What is
observed hangs on an experiment's `id` rather than its name: a name that is used again after
a deletion starts empty.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()


def _experiment() -> Column[str]:
    return Column(
        "experiment",
        String(32),
        ForeignKey("lethe_experiments.id", ondelete="CASCADE"),
        primary_key=True,
    )


experiments = Table(
    "lethe_experiments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("base", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("salt", String(64), nullable=False),
    Column("control", String(64), nullable=False),
    Column("created", Float(53), nullable=False),
    Column("stopped", Float(53)),
    # Exposures that found no room in memory while the database was away.
    Column("lost", BigInteger, nullable=False, default=0),
    UniqueConstraint("base", "name"),
)

arms = Table(
    "lethe_arms",
    metadata,
    _experiment(),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False),
    Column("profile", String, nullable=False),
    Column("weight", Float(53), CheckConstraint("weight > 0"), nullable=False),
)

exposures = Table(
    "lethe_exposures",
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
    "lethe_outcomes",
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
Index("lethe_exposures_by_unit", exposures.c.experiment, exposures.c.unit, exposures.c.arm)
Index("lethe_outcomes_by_unit", outcomes.c.experiment, outcomes.c.unit)

# An export reads by time, a page after the other.
Index("lethe_exposures_by_time", exposures.c.experiment, exposures.c.time, exposures.c.request_id)
Index("lethe_outcomes_by_time", outcomes.c.experiment, outcomes.c.time, outcomes.c.id)
