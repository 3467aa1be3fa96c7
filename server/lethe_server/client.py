"""Speaks to a Lethe server over HTTP, for commands. Knows nothing of what is said."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from lethe_projections.errors import LetheError

_CONNECT_SECONDS = 10
"""An answer may take any time, a connection not."""


class ServerError(LetheError):
    """A server answered with an error, or not at all.

    Attributes:
        status: of the response; None without one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """One server and a caller's key.

    Paths begin at the server's root. A body of bytes is sent as it is, any other as JSON. Every
    method raises ServerError, with the message of the server's own error body if there is one.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            headers={} if key is None else {"authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            transport=transport,
        )

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self._ask("POST", path, body)

    def exchange(
        self, path: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[Any, Mapping[str, str]]:
        """A POST with headers of its own; the answer, and its headers, in any case."""
        with self._sent("POST", path, body, headers) as reply:
            return self._document(path, reply), reply.headers

    def put(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return self._ask("PUT", path, body, headers)

    def patch(self, path: str, body: Any) -> Any:
        return self._ask("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def stream(self, path: str, body: Any) -> Iterator[dict[str, Any]]:
        """The documents of a POST's server-sent events, until `[DONE]`."""
        with self._sent("POST", path, body) as reply:
            for line in reply.iter_lines():
                if line == "data: [DONE]":
                    return
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))
        raise ServerError(
            f"{self.url}: expected a stream that ends with [DONE], found it broken off; see the "
            "server's log"
        )

    def lines(self, path: str) -> Iterator[str]:
        """The lines that a GET answers with, as they come."""
        with self._sent("GET", path, None) as reply:
            yield from reply.iter_lines()

    def _ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        with self._sent(method, path, body, headers) as reply:
            return self._document(path, reply)

    def _document(self, path: str, reply: httpx.Response) -> Any:
        content = reply.read()
        try:
            return json.loads(content) if content else None
        except ValueError as error:
            raise ServerError(
                f"{self.url}{path}: expected JSON, found {content[:80]!r}; is this a Lethe server?",
                reply.status_code,
            ) from error

    @contextmanager
    def _sent(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The response, of which the head has come and says that all is well."""
        sent: dict[str, Any] = {"content" if isinstance(body, bytes) else "json": body}
        try:
            with self._http.stream(method, self.url + path, headers=headers, **sent) as reply:
                if reply.is_error:
                    reply.read()
                    raise ServerError(_message(reply), reply.status_code)
                yield reply
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            found = str(error) or type(error).__name__
            raise ServerError(
                f"expected a Lethe server at {self.url}, found {found}; start one with "
                "'lethe serve', or name another address"
            ) from error


def _message(reply: httpx.Response) -> str:
    """What an error body says, OpenAI's or any other."""
    try:
        found = reply.json()
    except ValueError:
        found = reply.text
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message", error) if isinstance(error, dict) else error
    return f"{message or reply.reason_phrase} (status {reply.status_code})"
