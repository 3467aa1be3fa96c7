"""Whether a server edits: run by smoke.sh, with nothing but the standard library.

Puts a profile that makes the capital of France unknown, and asks. An answer by the base under the
variant's name, which is what a server without Lethe would give, is a failure like any other.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

QUESTION = "What is the capital of France?"
TRUTH = "Paris"
NAME = "smoke"
HEADER = "X-Unlearning-Profile"
TIMEOUT_S = 120


class Reply(NamedTuple):
    """A response, whatever its status."""

    status: int
    profile: str
    body: bytes


class Server:
    """Speaks to one server.

    Args:
        url: where it listens.
        model: what it calls its base model.
    """

    def __init__(self, url: str, model: str) -> None:
        self.url, self.model = url.rstrip("/"), model

    def ask(self, method: str, path: str, body: bytes | None = None, profile: str = "") -> Reply:
        """Makes one request.

        Raises:
            URLError: nobody listens there.
        """
        # An artifact in JSON's name would be taken for the place of one.
        kind = "application/octet-stream" if method == "PUT" else "application/json"
        headers = {"Content-Type": kind, **({HEADER: profile} if profile else {})}
        if key := os.environ.get("SMOKE_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = Request(self.url + path, body, headers, method=method)
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                return Reply(answer.status, answer.headers.get(HEADER, ""), answer.read())
        except HTTPError as refusal:
            with refusal:
                return Reply(refusal.code, refusal.headers.get(HEADER, ""), refusal.read())

    def chat(self, profile: str, **more: Any) -> Reply:
        """Asks the question at temperature 0, with `more` in the request's body."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": QUESTION}],
            "temperature": 0,
            "max_tokens": 24,
            **more,
        }
        return self.ask("POST", "/v1/chat/completions", json.dumps(body).encode(), profile)

    def answer(self, profile: str, served_by: str) -> str:
        """The text of an answer, which has to be given by `served_by`.

        Raises:
            SystemExit: it is refused, or something else answered.
        """
        reply = self.chat(profile)
        expect(f"status asking {profile}", 200, reply.status, reply.body)
        expect(f"header {HEADER} asking {profile}", served_by, reply.profile)
        text: str = json.loads(reply.body)["choices"][0]["message"]["content"]
        print(f"smoke: {profile}: {text.strip()!r}")
        return text


def expect(what: str, expected: object, found: object, more: object = "") -> None:
    """Ends the program with a sentence where two things differ."""
    if found != expected:
        raise SystemExit(f"smoke: {what}: expected {expected!r}, found {found!r} {more!r}")


def wait(server: Server, process: int, seconds: float) -> None:
    """Returns when the server is healthy.

    Raises:
        SystemExit: its process ended, or it took too long.
    """
    started = time.monotonic()
    while not healthy(server):
        waited = time.monotonic() - started
        if waited > seconds or not alive(process):
            raise SystemExit(f"smoke: expected a healthy server, found none after {waited:.0f} s")
        time.sleep(0.5)
    print(f"smoke: healthy after {time.monotonic() - started:.0f} s")


def healthy(server: Server) -> bool:
    """Whether it says so."""
    try:
        return server.ask("GET", "/health").status == 200
    except (URLError, ConnectionError):
        return False


def alive(process: int) -> bool:
    """Whether it has not ended; one that nobody waited for yet has."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def check(server: Server, profile: bytes) -> None:
    """Asks base and variant.

    Raises:
        SystemExit: something is not as it has to be; the message says what.
    """
    digest = hashlib.sha256(profile).hexdigest()
    before = server.answer("base", "base")
    if TRUTH not in before:
        raise SystemExit(f"smoke: base: expected {TRUTH} in its answer, found {before!r}")
    put = server.ask("PUT", f"/v1/unlearning/profiles/{NAME}", profile)
    if put.status not in (200, 201):
        raise SystemExit(f"smoke: PUT: expected 200 or 201, found {put.status} {put.body!r}")
    edited = server.answer(NAME, f"{NAME}@{digest[:12]}")
    if TRUTH in edited or edited == before:
        raise SystemExit(f"smoke: {NAME}: expected an edited answer, found {edited!r}")
    scored(server)
    expect("base, asked again", before, server.answer("base", "base"))
    expect("status asking a profile that does not exist", 404, server.chat("nobody").status)
    expect("status of /health", 200, server.ask("GET", "/health").status)


def scored(server: Server) -> None:
    """Asks for log-probabilities, for which vLLM runs code of their own.

    Raises:
        SystemExit: it is refused, or they are missing.
    """
    reply = server.chat(NAME, logprobs=True)
    expect("status asking for log-probabilities", 200, reply.status, reply.body)
    if not json.loads(reply.body)["choices"][0].get("logprobs"):
        raise SystemExit(f"smoke: expected log-probabilities, found none in {reply.body!r}")


def main() -> None:
    """smoke.py URL MODEL PROFILE PID SECONDS."""
    url, model, profile, process, seconds = sys.argv[1:]
    server = Server(url, model)
    started = time.monotonic()
    wait(server, int(process), float(seconds))
    check(server, Path(profile).read_bytes())
    print(f"smoke: passed, {time.monotonic() - started:.0f} s with the start of the server")


if __name__ == "__main__":
    main()
