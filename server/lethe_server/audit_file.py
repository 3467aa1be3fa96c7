"""A file of lines that are only ever appended, by several processes at once. Knows no content.

What is appended together is one write, under a lock, so lines of different processes never mix.
A file that was rotated away is left, and a new one begun.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from lethe_projections import durable


class AuditFile:
    """Appends to one file.

    Attributes:
        path: where it is.

    Raises:
        OSError: it cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor = self._opened()

    def append(self, lines: Sequence[bytes], durably: bool = False) -> None:
        """Writes lines, which hold no line break.

        Args:
            lines: without their ends.
            durably: return only once they are on the disk.

        Raises:
            OSError: they are not all there, or not for sure.
        """
        with self._lock:
            self._follow()
            # Or another's write that is under way, whose size grows meanwhile, would look torn.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                self._write(b"".join(line + b"\n" for line in lines))
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            if durably:
                os.fsync(self._descriptor)

    def sync(self) -> None:
        """Returns when all is on the disk.

        Raises:
            OSError: that is not sure.
        """
        with self._lock:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Ends the use of the file."""
        with self._lock:
            os.close(self._descriptor)

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        durable.sync(self.path.parent)
        return descriptor

    def _follow(self) -> None:
        """Opens the file anew if its name means another one by now, or none."""
        mine = os.fstat(self._descriptor)
        try:
            named = self.path.stat()
        except FileNotFoundError:
            named = None
        if named is None or (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
            opened = self._opened()
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = opened

    def _write(self, data: bytes) -> None:
        # An unfinished line of somebody who crashed, or of a full disk, stays one of its own.
        whole = b"\n" * self._is_torn() + data
        if os.write(self._descriptor, whole) < len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _is_torn(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
