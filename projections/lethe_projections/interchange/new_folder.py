"""A folder that appears whole or not at all. Knows nothing of what is put into it."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lethe_projections import durable
from lethe_projections.errors import InterchangeError


@contextmanager
def created(target: str | Path) -> Iterator[Path]:
    """Gives a sibling folder to fill, and renames it to `target` when the block ends well.

    Args:
        target: what must not exist yet, or be an empty folder.

    Raises:
        InterchangeError: something is there already, or the folder around it is missing.
        OSError: the folder around it is full or not writable.
    """
    target = Path(target)
    check_free(target)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(6)}"
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            _finish(path, temporary.stat().st_mode)
        durable.sync(temporary)
        # Refused by the system should somebody have filled the target meanwhile.
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    durable.sync(target.parent)


def check_free(target: Path) -> None:
    """Makes sure that `created` can begin, for a caller with long work before it.

    Raises:
        InterchangeError: as `created`.
    """
    if not target.parent.is_dir():
        raise InterchangeError(f"out: expected a folder at {target.parent}, found none; create it")
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise InterchangeError(
            f"out: expected no file and no filled folder at {target}, found one; "
            "name another or remove it"
        )


def _finish(path: Path, folder_mode: int) -> None:
    """Writes it out; safetensors makes a file private, here it is as readable as its folder."""
    if path.is_file():
        path.chmod(folder_mode & 0o666)
    durable.sync(path)
