"""Files that a crash leaves as they were or as they shall be. Knows nothing of what is in them."""

import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: a temporary file beside it, fsync, rename.

    Raises:
        OSError: the folder is missing, full or not writable; what was there before stays.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes it private; it shall be as readable as any other file here.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Returns when a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
