"""Bytes by their sha256: written once, never changed. Knows nothing of names or of profiles.

A local folder is written durably: a temporary file, fsync, rename. Elsewhere an object appears as
the file system of that URL lets it; what comes back is compared with its digest in any case.
"""

import contextlib
import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]

from lethe_projections import durable
from lethe_vllm.errors import UnavailableError, UnsupportedError

logger = logging.getLogger("vllm.lethe")

SUFFIX = ".safetensors"
REMAINS_SECONDS = 3600


class Objects:
    """One place of objects.

    Attributes:
        url: where; a local folder, or a URL that fsspec knows.
    """

    def __init__(self, url: str) -> None:
        """Opens the place, which is made if missing.

        Raises:
            UnsupportedError: no file system for that URL.
            UnavailableError: it cannot be made.
        """
        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise UnsupportedError(
                f"objects: expected a folder, or a URL whose file system is installed, found {url} "
                f"({error})"
            ) from error
        self.folder = Path(self._root) if _is_local(self._files) else None
        try:
            self._files.makedirs(self._root, exist_ok=True)
        except Exception as error:  # each file system raises its own library's
            raise UnavailableError(
                f"objects: expected a writable place at {url}, found {error}; give another with "
                "--store or --objects"
            ) from error
        if self.folder is not None:
            _remove_remains(self.folder)

    def put(self, data: bytes) -> str:
        """Keeps some bytes; returns their digest once they are there.

        Raises:
            UnavailableError: they could not be written; nothing is there then, or all.
        """
        digest = hashlib.sha256(data).hexdigest()
        try:
            if not self._has(digest, len(data)):
                self._write(f"{digest}{SUFFIX}", data)
        except Exception as error:
            logger.error("Objects: %s cannot be written at %s: %s", digest[:12], self.url, error)
            raise UnavailableError(
                f"objects: expected room and rights to write {digest[:12]}, found "
                f"{_kind(error)}; nothing was changed: see the log"
            ) from error
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a digest.

        Raises:
            UnavailableError: they are not there, or are not those.
        """
        try:
            data: bytes = self._files.cat_file(self._path(digest))
        except Exception as error:
            logger.error("Objects: %s cannot be read at %s: %s", digest[:12], self.url, error)
            raise UnavailableError(
                f"objects: expected {digest[:12]}, found {_kind(error)}; see the log, or put the "
                "profile again"
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            raise UnavailableError(
                f"objects: expected bytes with digest {digest[:12]}, found {found[:12]}: they were "
                "damaged; put the profile again"
            )
        return data

    def beside(self, digest: str, suffix: str) -> bytes | None:
        """What lies beside an object under another suffix; None if nothing does.

        Raises:
            UnavailableError: the place does not answer.
        """
        try:
            found: bytes = self._files.cat_file(f"{self._root}/{digest}{suffix}")
        except FileNotFoundError:
            return None
        except Exception as error:
            logger.error("Objects: %s%s cannot be read at %s: %s", digest, suffix, self.url, error)
            raise UnavailableError(
                f"objects: expected what lies beside {digest[:12]}, or nothing, found "
                f"{_kind(error)}; see the log, and that it may be read"
            ) from error
        return found

    def put_beside(self, digest: str, suffix: str, data: bytes) -> None:
        """Keeps bytes beside an object, in place of what was there.

        Raises:
            UnavailableError: they could not be written.
        """
        try:
            self._write(f"{digest}{suffix}", data)
        except Exception as error:
            logger.error(
                "Objects: %s%s cannot be written at %s: %s", digest, suffix, self.url, error
            )
            raise UnavailableError(
                f"objects: expected room and rights to write beside {digest[:12]}, found "
                f"{_kind(error)}; see the log"
            ) from error

    def _has(self, digest: str, size: int) -> bool:
        """Whether it is there whole; a damaged one is written again."""
        path = self._path(digest)
        if not self._files.exists(path) or self._files.size(path) != size:
            return False
        return hashlib.sha256(self._files.cat_file(path)).hexdigest() == digest

    def _write(self, name: str, data: bytes) -> None:
        if self.folder is not None:
            durable.write(self.folder / name, data)
        else:
            self._files.pipe_file(f"{self._root}/{name}", data)

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest}{SUFFIX}"


def _kind(error: Exception) -> str:
    """What went wrong, without where."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _is_local(files: Any) -> bool:
    return "file" in ((files.protocol,) if isinstance(files.protocol, str) else files.protocol)


def _remove_remains(folder: Path) -> None:
    """Removes what processes that were killed had begun to write; nobody takes an hour for it."""
    for file in folder.glob(f".{'[0-9a-f]' * 64}.*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > REMAINS_SECONDS:
                file.unlink()
