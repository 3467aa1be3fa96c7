"""Reads a request's body ahead of the application, within a bound, and gives it back unchanged.

Knows nothing of what is in it.
"""

from starlette.types import Message, Receive, Scope

from lethe_server.errors import TooLargeError

MAX_BODY_BYTES = 64 * 2**20
"""A prompt of 8 million tokens is about half of this."""


async def read(receive: Receive, limit: int = MAX_BODY_BYTES) -> bytes | None:
    """The whole body; None if the client left before it was complete.

    Raises:
        TooLargeError: it is longer than `limit`.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        check_size(size, limit)
        more = message.get("more_body", False)
    return b"".join(chunks)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A channel that delivers `body` in one message, and then whatever `receive` does."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


def header_values(scope: Scope, name: str) -> list[str]:
    """Every value of a header, in order, without surrounding white space.

    Args:
        scope: of an HTTP or websocket connection.
        name: in lower case.
    """
    wanted = name.encode("latin-1")
    return [
        value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == wanted
    ]


def check_declared_size(scope: Scope, limit: int = MAX_BODY_BYTES) -> None:
    """Refuses a body by its announced length, before it is read.

    Raises:
        TooLargeError: `content-length` is above `limit`.
    """
    for length in header_values(scope, "content-length"):
        if length.isdigit():
            check_size(int(length), limit)


def check_size(size: int, limit: int) -> None:
    """Raises TooLargeError if `size` bytes are more than `limit`."""
    if size > limit:
        raise TooLargeError(
            f"request body: expected at most {limit} bytes, found {size} or more; send less"
        )


def excerpt(body: bytes, length: int = 80) -> str:
    """The beginning of a body, for a message."""
    return repr(body[:length])
