"""The store's tables. The same in SQLite and PostgreSQL.

    state     one row: the format, and a revision that every change of a name raises
    names     what a name means now; digest is null once it was deleted
    versions  everything that a name ever meant, in order; never changed, never removed
    drop_ins  the files of the folder of profiles as they were when they were taken in

Names belong to one base model, by its fingerprint: one database may serve several.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

FORMAT = 1

metadata = MetaData()

state = Table(
    "lethe_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("format", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
)

names = Table(
    "lethe_names",
    metadata,
    Column("base", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("digest", String(64)),
    Column("version", Integer, nullable=False),
    Column("pinned", Boolean, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("changed", Float, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("lethe_names_revision", "base", "revision"),
)

versions = Table(
    "lethe_versions",
    metadata,
    Column("base", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(64)),
    Column("action", String(16), nullable=False),
    Column("source", String, nullable=False),
    Column("author", String, nullable=False),
    Column("created", Float, nullable=False),
)

drop_ins = Table(
    "lethe_drop_ins",
    metadata,
    Column("base", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("identity", String, nullable=False),
    Column("version", Integer, nullable=False),
)
