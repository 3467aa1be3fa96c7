"""Where a store is, from the options: a folder by itself, or a database and a place for objects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import URL

from lethe_vllm.errors import UnsupportedError

HIDDEN = ".lethe"
"""The folder of a store inside the folder of profiles."""


@dataclass(frozen=True)
class Place:
    """Where everything of one store is.

    Attributes:
        database: SQLAlchemy's URL.
        objects: a folder, or a URL that fsspec knows.
        drop_ins: the folder of profiles, whose files are taken in; None for none.
    """

    database: str
    objects: str
    drop_ins: Path | None = None

    @classmethod
    def of(cls, profiles: Path | None, store: str | None, objects: str | None) -> Self:
        """Reads the options of that name, of which one of the first two is given.

        Raises:
            UnsupportedError: both of them, or a database without a place for objects.
        """
        if store is not None and profiles is not None:
            raise UnsupportedError(
                f"--profiles: expected none beside --store, found {profiles}: servers that share a "
                "store would take each other's files for removed; use 'lethe profiles add'"
            )
        if store is None or "://" not in store:
            folder = (Path(store) if store else Path(profiles or "") / HIDDEN).resolve()
            database = URL.create("sqlite", database=str(folder / "store.db"))
            return cls(str(database), objects or str(folder / "objects"), profiles)
        if objects is None:
            raise UnsupportedError(
                f"store: expected --objects with a database, found {store} alone; say where the "
                "artifacts are kept, as --objects s3://bucket/profiles or a shared folder"
            )
        return cls(store, objects)
