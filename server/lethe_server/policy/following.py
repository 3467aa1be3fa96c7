"""The policy file as it is now, or as it last was valid. Knows nothing of HTTP.

Every process that serves looks at the file for itself at each request, so all of them follow a
change at once, and none has to tell another. A look is one `stat`: 2 microseconds.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from lethe_server.errors import PolicyError
from lethe_server.policy.reading import Policy, parse

logger = logging.getLogger("vllm.lethe")

MAX_BYTES = 2**24

_Identity = tuple[int, ...]


class PolicyFile:
    """One process's view of the file.

    Attributes:
        path: where it is.
        policy: in force.
    """

    def __init__(
        self, path: Path, told: Callable[[str, str | None], object] = lambda before, after: None
    ) -> None:
        """Reads it.

        Args:
            path: where it is.
            told: of each time that it is read since somebody changed it or at SIGHUP: the digest
                that was in force, and the one that is; None for a file that was refused.

        Raises:
            PolicyError: it is missing or wrong.
        """
        self.path, self._told = path, told
        self._seen, self.policy = _named(path)

    def now(self) -> Policy:
        """What is in force; a changed file is read first. A wrong one is logged once."""
        identity = self._look()
        if identity != self._seen:
            self._seen = identity
            self._try()
        return self.policy

    def reload(self) -> Policy:
        """Reads it, changed or not.

        Raises:
            PolicyError: it is missing or wrong; what was in force stays.
        """
        try:
            self._seen, self.policy = _read(self.path)
        except PolicyError as error:
            raise PolicyError(f"{error}; the policy of before stays in force") from error
        logger.info("Policy: %d key(s) from %s", len(self.policy.keys), self.path)
        return self.policy

    def on_signal(self) -> None:
        """As `reload`, but says in the log what is wrong."""
        self._seen = self._look()
        self._try()

    def _look(self) -> _Identity:
        try:
            return _identity(self.path.stat())
        except OSError:
            return ()

    def _try(self) -> None:
        before = self.policy.digest
        try:
            self._told(before, self.reload().digest)
        except PolicyError as error:
            logger.error("%s: %s", self.path, error)
            self._told(before, None)


def read(path: Path) -> Policy:
    """Reads a policy file.

    Raises:
        PolicyError: it is missing or wrong.
    """
    return _named(path)[1]


def _named(path: Path) -> tuple[_Identity, Policy]:
    """As `_read`; errors say which file, which clients need not know."""
    try:
        return _read(path)
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[_Identity, Policy]:
    try:
        with path.open("rb") as file:
            # Before the bytes: a file that is changed meanwhile is read again.
            identity = _identity(os.fstat(file.fileno()))
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise PolicyError(
                f"policy: expected at most {MAX_BYTES} bytes, found more; name the right file"
            )
        return identity, parse(data.decode())
    except OSError as error:
        raise PolicyError(
            f"policy: expected a readable file, found {error.strerror}; check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise PolicyError("policy: expected UTF-8, found other bytes; write it anew") from error


def _identity(stat: os.stat_result) -> _Identity:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
