"""Profiles come, change and go while requests run: none of those notices."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel

from .profiles import synthetic
from .server import PROFILES, Server

STORY = "Write a long story about a lighthouse keeper and his dog."
LONG = 160


@dataclass
class Stream:
    """A streamed answer that is read by another thread."""

    begun: threading.Event = field(default_factory=threading.Event)
    pieces: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def read(self, chunks: Iterator[str]) -> None:
        try:
            for piece in chunks:
                self.pieces.append(piece)
                if len(self.pieces) >= 5:
                    self.begun.set()
        finally:
            self.ended.set()
            self.begun.set()


@contextmanager
def streaming(server: Server, *profiles: str) -> Iterator[list[Stream]]:
    """Streams on several variants, all of which have begun."""
    streams = [Stream() for _ in profiles]
    with ThreadPoolExecutor() as threads:
        running = [
            threads.submit(stream.read, server.chunks(STORY, profile, LONG))
            for stream, profile in zip(streams, profiles, strict=True)
        ]
        for stream in streams:
            assert stream.begun.wait(60)
            assert not stream.ended.is_set()
        yield streams
        for future in running:
            future.result()


def alone(server: Server, profile: str) -> str:
    return "".join(server.chunks(STORY, profile, LONG))


def test_running_streams_do_not_notice_a_new_profile(server: Server, base: BaseModel) -> None:
    expected = [alone(server, "base"), alone(server, "alpha")]
    assert expected[0] != expected[1]
    with streaming(server, "base", "alpha") as streams:
        assert server.put("gamma", synthetic(base, 11)).status_code == 201
        first = server.answer(STORY, "gamma")
        assert not any(stream.ended.is_set() for stream in streams)
        assert server.delete("gamma").status_code == 200
        assert server.chat(STORY, "gamma").status_code == 404
        assert not any(stream.ended.is_set() for stream in streams)
    assert [stream.text for stream in streams] == expected
    assert not any(text.startswith(first) for text in expected)


def test_a_deleted_profile_finishes_what_it_has_begun(server: Server, base: BaseModel) -> None:
    data = synthetic(base, 12)
    server.put("gone", data)
    expected = alone(server, "gone")
    assert expected != alone(server, "base")
    with streaming(server, "gone", "base") as (stream, _):
        assert server.delete("gone").status_code == 200
        assert server.chat(STORY, "gone").status_code == 404
        assert server.get(f"{PROFILES}/gone").status_code == 404
        assert not stream.ended.is_set()
    assert stream.text == expected
    # Unloaded by now, and as good as new when it comes back.
    assert server.put("gone", data).status_code == 201
    assert alone(server, "gone") == expected
    server.delete("gone")


def test_a_replaced_profile_finishes_what_it_has_begun(server: Server, base: BaseModel) -> None:
    server.put("new", synthetic(base, 14))
    replacement = alone(server, "new")
    server.put("new", synthetic(base, 13))
    expected = alone(server, "new")
    assert expected != replacement
    with streaming(server, "new") as (stream,):
        assert server.put("new", synthetic(base, 14)).status_code == 200
        after = server.answer(STORY, "new", max_tokens=16)
        assert not stream.ended.is_set()
    assert stream.text == expected
    assert replacement.startswith(after)
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
