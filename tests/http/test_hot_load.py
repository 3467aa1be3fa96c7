"""Profiles come, change and go while requests run: none of those notices."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel

from .profiles import synthetic
from .server import PROFILES, Server

STORY = "Write a long story about a lighthouse keeper and his dog."
ENOUGH = 96  # tokens to judge a stream by
MORE = 16  # tokens that a stream goes on for after what might have disturbed it
ENDLESS = 1024  # tokens: no test lasts as long as it takes to make them


@dataclass
class Stream:
    """A streamed answer on one variant, read by another thread until it is told to stop."""

    profile: str
    text: str = ""
    tokens: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    until: int = ENDLESS + 1
    ended: threading.Event = field(default_factory=threading.Event)

    def read(self, server: Server) -> None:
        with closing(server.chunks(STORY, self.profile, ENDLESS)) as chunks:
            for piece, self.tokens in chunks:
                self.text += piece
                if self.tokens >= 4:
                    self.begun.set()
                if self.tokens >= self.until:
                    return
        self.ended.set()


@contextmanager
def streaming(server: Server, *profiles: str) -> Iterator[list[Stream]]:
    """Streams on several variants, all of which have begun and none of which ends by itself."""
    streams = [Stream(profile) for profile in profiles]
    with ThreadPoolExecutor() as threads:
        running = [threads.submit(stream.read, server) for stream in streams]
        try:
            assert all(stream.begun.wait(60) for stream in streams)
            yield streams
            assert not any(stream.ended.is_set() for stream in streams)
        finally:
            for stream in streams:
                stream.until = max(ENOUGH, stream.tokens + MORE)
            for future in running:
                future.result()


def alone(server: Server, profile: str, tokens: int = ENOUGH) -> str:
    return "".join(piece for piece, _ in server.chunks(STORY, profile, tokens))


def test_running_streams_do_not_notice_a_new_profile(server: Server, base: BaseModel) -> None:
    with streaming(server, "base", "alpha") as streams:
        assert server.put("gamma", synthetic(base, 11)).status_code == 201
        first = server.answer(STORY, "gamma")
        assert server.delete("gamma").status_code == 200
        assert server.chat(STORY, "gamma").status_code == 404
    for stream in streams:
        assert stream.text == alone(server, stream.profile, stream.tokens)
        assert not stream.text.startswith(first)
    assert streams[0].text[:100] != streams[1].text[:100]


def test_a_deleted_profile_finishes_what_it_has_begun(server: Server, base: BaseModel) -> None:
    data = synthetic(base, 12)
    server.put("gone", data)
    with streaming(server, "gone", "base") as (stream, _):
        assert server.delete("gone").status_code == 200
        assert server.chat(STORY, "gone").status_code == 404
        assert server.get(f"{PROFILES}/gone").status_code == 404
        told = stream.tokens
    # It went on for long after that; unloaded by now, and as good as new when it comes back.
    assert server.put("gone", data).status_code == 201
    assert stream.tokens >= max(ENOUGH, told + MORE)
    assert stream.text == alone(server, "gone", stream.tokens)
    assert not stream.text.startswith(alone(server, "base"))
    server.delete("gone")


def test_a_replaced_profile_finishes_what_it_has_begun(server: Server, base: BaseModel) -> None:
    server.put("new", synthetic(base, 14))
    replacement = alone(server, "new")
    server.put("new", synthetic(base, 13))
    with streaming(server, "new") as (stream,):
        assert server.put("new", synthetic(base, 14)).status_code == 200
        after = server.answer(STORY, "new", max_tokens=16)
    assert replacement.startswith(after)
    assert not stream.text.startswith(after)
    server.put("new", synthetic(base, 13))
    assert stream.text == alone(server, "new", stream.tokens)
    server.delete("new")


def test_no_request_fails_while_its_profile_is_replaced_over_and_over(
    server: Server, base: BaseModel
) -> None:
    versions = [synthetic(base, seed) for seed in (21, 22)]
    answers = {}
    for data in versions:
        server.put("busy", data)
        answers[artifact.digest(data)[:12]] = server.answer(STORY, "busy", max_tokens=8)
    assert len(set(answers.values())) == 2
    stop = threading.Event()

    seen: list[tuple[str, str]] = []

    def ask() -> None:
        while not stop.is_set():
            reply = server.chat(STORY, "busy", max_tokens=8)
            assert reply.status_code == 200, reply.text
            text = reply.json()["choices"][0]["message"]["content"]
            seen.append((reply.headers["X-Unlearning-Profile"].removeprefix("busy@"), text))

    with ThreadPoolExecutor() as threads:
        asking = [threads.submit(ask) for _ in range(3)]
        for turn in range(12):
            assert server.put("busy", versions[turn % 2]).status_code == 200
            # Now and then a few answers between two changes, else as fast as it goes.
            target = len(seen) + 4 if turn % 3 == 2 else 0
            while len(seen) < target and not any(future.done() for future in asking):
                time.sleep(0.01)
        stop.set()
        for future in asking:
            future.result()
    assert {digest for digest, _ in seen} == set(answers)
    assert all(answers[digest] == text for digest, text in seen)
    server.delete("busy")


def test_two_names_of_one_artifact_are_independent(server: Server, base: BaseModel) -> None:
    data = synthetic(base, 15)
    server.put("first", data)
    server.put("second", data)
    expected = server.answer(STORY, "first")
    server.delete("first")
    assert server.chat(STORY, "first").status_code == 404
    assert server.answer(STORY, "second") == expected
    server.delete("second")


def test_put_says_whether_the_name_is_new(server: Server, base: BaseModel) -> None:
    data = synthetic(base, 16)
    created = server.put("fresh", data)
    assert (created.status_code, server.put("fresh", data).status_code) == (201, 200)
    document = created.json()
    assert document["digest"] == artifact.digest(data)
    assert document["resident"] is True
    assert server.get(f"{PROFILES}/fresh").json() | {"modified": 0} == document | {"modified": 0}
    server.delete("fresh")
