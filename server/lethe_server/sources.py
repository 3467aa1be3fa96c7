"""Where a PUT may take an artifact from: only below what the operator permits.

    /srv/profiles              a folder of this machine; links that lead out of it do not count
    s3://bucket/profiles/      any URL that fsspec knows
    hf://org/                  repositories of the Hugging Face Hub, or of its local cache

Whoever may PUT could otherwise have the server read its own files, or send requests into its
network. Knows nothing of what an artifact is but how large one may be.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fsspec  # type: ignore[import-untyped]
import httpx

from lethe_projections.artifact import MAX_BYTES
from lethe_projections.errors import LetheError
from lethe_server import hub
from lethe_server.errors import NotPermittedError, TooLargeError
from lethe_vllm.errors import SelectionError, UnavailableError

logger = logging.getLogger("vllm.lethe")

HUB = "hf"
_REDIRECT = ", a redirect, which is not followed; give the URL that it leads to"


@dataclass(frozen=True)
class Sources:
    """What is permitted.

    Attributes:
        permitted: absolute paths of folders, and beginnings of URLs that end in '/'.
    """

    permitted: Sequence[str] = ()

    async def read(self, source: str) -> bytes:
        """The bytes of an artifact.

        Args:
            source: a path, a URL, or `hf://ORG/NAME[@REVISION][/FILE]`.

        Raises:
            SelectionError: it is neither a path nor a URL.
            NotPermittedError: it is not below what is permitted.
            TooLargeError: it is larger than an artifact may be.
            UnavailableError: it is not there, or does not answer.
        """
        try:
            return await asyncio.to_thread(self._read, source)
        except LetheError:
            raise
        except Exception as error:  # each file system raises its own library's
            logger.warning("Source %s: %s: %s", source[:200], type(error).__name__, error)
            raise UnavailableError(
                f"source {source[:200]}: expected an artifact there, found "
                f"{type(error).__name__}; see the log, and correct it or try again"
            ) from error

    def _read(self, source: str) -> bytes:
        scheme = urlsplit(source).scheme
        if scheme in ("", "file"):
            return _read_path(self._confined(source.removeprefix("file://")))
        self._check_url(source)
        return _READERS.get(scheme, _read_url)(source)

    def _confined(self, text: str) -> Path:
        """The path itself, links followed, if it is below a permitted folder."""
        path = Path(text)
        if not path.is_absolute():
            raise SelectionError(
                f"source: expected an absolute path or a URL, found {text[:200]!r}; write it whole"
            )
        real = path.resolve()
        folders = [Path(one).resolve() for one in self.permitted if one.startswith("/")]
        if not any(real.is_relative_to(folder) for folder in folders):
            raise self._refused(text)
        return real

    def _check_url(self, url: str) -> None:
        _, _, rest = unquote(url).replace("\\", "/").partition("://")
        # An empty part would begin an absolute path.
        if {"", ".", ".."} & set(rest.removesuffix("/").split("/")):
            raise SelectionError(
                f"source: expected no empty part, '.' or '..' in a URL, found {url[:200]!r}; write "
                "it without"
            )
        urls = [one for one in self.permitted if "://" in one]
        if not any(url.startswith(one if one.endswith("/") else f"{one}/") for one in urls):
            raise self._refused(url)

    def _refused(self, source: str) -> NotPermittedError:
        return NotPermittedError(
            f"source: expected one below what 'lethe serve --source' permits, found "
            f"{source[:200]!r}; send the artifact's bytes, or ask for that place to be permitted"
        )


def _read_path(path: Path) -> bytes:
    if not path.is_file():
        raise SelectionError(f"source {path.name[:200]!r}: expected a file, found none; correct it")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    _check_size(len(data))
    return data


def _read_http(url: str) -> bytes:
    """Follows no redirect, which would lead out of what is permitted."""
    with httpx.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code != 200:
            raise UnavailableError(
                f"source {url[:200]}: expected an artifact there, found status "
                f"{response.status_code}{_REDIRECT if response.is_redirect else ''}"
            )
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            _check_size(len(data))
    return bytes(data)


def _read_url(url: str) -> bytes:
    with fsspec.open(url, "rb") as file:
        data: bytes = file.read(MAX_BYTES + 1)
    _check_size(len(data))
    return data


def _read_hub(url: str) -> bytes:
    organisation, _, rest = url.removeprefix(f"{HUB}://").partition("/")
    repository, _, file = rest.partition("/")
    name, _, revision = repository.partition("@")
    if any(sign in file for sign in "*?["):
        raise SelectionError(
            f"source: expected the name of one file, found {file[:200]!r}; write it whole"
        )
    wanted = hub.Wanted(f"{organisation}/{name}", revision or None, file)
    return _read_path(hub.fetch(wanted, _check_size))


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise TooLargeError(
            f"source: expected at most {MAX_BYTES} bytes, found {size} or more; fit a smaller rank"
        )


_READERS = {"http": _read_http, "https": _read_http, HUB: _read_hub}
"""By scheme; of all others fsspec knows."""
