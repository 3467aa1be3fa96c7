"""Files that somebody puts into the folder of profiles, `NAME.safetensors`: another way to PUT.

A file that is new or changed since it was last looked at becomes its name's next version. One that
was removed takes its name with it, unless the name was changed otherwise since. So what happened
last counts, and the file itself is never touched.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from lethe_projections.errors import ArtifactError, IncompatibleError, LetheError
from lethe_vllm.errors import UnavailableError
from lethe_vllm.selection import is_name
from lethe_vllm.store.meanings import FILE, Change
from lethe_vllm.store.names import Names

logger = logging.getLogger("vllm.lethe")

SUFFIX = ".safetensors"


class DropIns:
    """The files of one folder, and what became of them.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path, names: Names, keep: Callable[[bytes], str]) -> None:
        """Reads what was taken in before.

        Args:
            folder: is made if missing.
            names: gets the versions.
            keep: validates an artifact and keeps it; returns its digest.
        """
        self.folder = folder
        self._names, self._keep = names, keep
        self._seen = names.files()
        self._warned: set[str] = set()
        self._refused: dict[str, tuple[str, LetheError]] = {}
        self._lock = threading.Lock()

    def look(self, name: str) -> None:
        """Takes in the file of a name if it changed, or that it is gone.

        Raises:
            UnavailableError: it cannot be read.
            LetheError: it is not a valid profile for the base model.
        """
        file = self._file(name)
        try:
            identity = _identity(file)
        except OSError as error:
            raise _unreadable(file, error) from error
        if self._is_seen(name, identity):
            return
        with self._lock:
            self._seen = self._names.files()
            if self._is_seen(name, identity):
                return  # by another thread or process
            self._refuse_again(name, identity)
            if identity is None:
                self._names.file_gone(name, str(file))
            elif not self._pinned(name, file):
                self._take_in(name, identity, file)
            self._seen = self._names.files()

    def is_seen(self, name: str) -> bool:
        """Whether the file of a name, or that there is none, was looked at as it is now."""
        try:
            return self._is_seen(name, _identity(self._file(name)))
        except OSError:
            return False

    def look_at_all(self) -> list[LetheError]:
        """Looks at every file; returns what is wrong with those that cannot be served."""
        found = [file.name.removesuffix(SUFFIX) for file in self.folder.glob(f"*{SUFFIX}")]
        errors = []
        for name in sorted({*filter(is_name, found), *self._names.files()}):
            try:
                self.look(name)
            except LetheError as error:
                errors.append(error)
        return errors

    def unnamed(self) -> list[str]:
        """Files whose name could not be requested."""
        files = (file.name.removesuffix(SUFFIX) for file in self.folder.glob(f"*{SUFFIX}"))
        return sorted(name for name in files if not name.startswith(".") and not is_name(name))

    def dismiss(self, name: str) -> bytes | None:
        """Takes a file that could not be taken in for seen; its bytes, or None if there is none."""
        file = self._file(name)
        try:
            identity = _identity(file)  # first: what is written meanwhile is looked at again
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        self._names.note_file(name, identity)
        self._seen = self._names.files()
        return data

    def _is_seen(self, name: str, identity: str | None) -> bool:
        seen = self._seen.get(name)
        return (seen[0] if seen else None) == identity

    def _take_in(self, name: str, identity: str, file: Path) -> None:
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            self._names.file_gone(name, str(file))
            return
        except OSError as error:
            raise _unreadable(file, error) from error
        try:
            digest = self._keep(data)
        except LetheError as error:
            named = type(error)(f"profile {name} ({file.name}): {error}")
            if isinstance(error, ArtifactError | IncompatibleError):
                self._refused[name] = identity, named
            raise named from error
        self._names.change(name, Change(digest, FILE, str(file)), identity)

    def _refuse_again(self, name: str, identity: str | None) -> None:
        """Raises what was wrong with a file, which is not read again until it changes."""
        refused, error = self._refused.get(name, (None, None))
        if error is not None and refused == identity:
            raise type(error)(str(error))

    def _pinned(self, name: str, file: Path) -> bool:
        named = self._names.find(name)
        pinned = named is not None and named.pinned
        if pinned and name not in self._warned:
            logger.warning("%s: not taken in, since %s is pinned; unpin it first", file, name)
            self._warned.add(name)
        return pinned

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"


def _unreadable(file: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"profile {file.name}: expected a file that may be read, found {error}; correct that, or "
        "remove it"
    )


def _identity(file: Path) -> str | None:
    """What tells a file from the one that was there before; changes whenever it is written.

    None if there is no such file.
    """
    try:
        stat = os.stat(file)
    except FileNotFoundError:
        return None
    return f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}"
