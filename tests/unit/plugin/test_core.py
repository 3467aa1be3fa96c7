"""Admission at vLLM's engine core, in front of ranks that are stand-ins."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lethe_vllm.compat import core
from lethe_vllm.errors import UnavailableError
from lethe_vllm.selection import Variant

FULL, FAILS, WAITS, NEW = (letter * 64 for letter in "abcd")


class Core:
    """An engine core that keeps a scheduler's requests, and one rank with room for one profile.

    Attributes:
        told: what clients were told of requests: how they ended.
        on_rank: digests that it has.
        held: the one on its device.
        failing: digests that fail their canary.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []
        self.on_rank: set[str] = set()
        self.held: set[str] = set()
        self.failing: set[str] = set()
        self.scheduler = SimpleNamespace(requests={})
        self.model_executor = SimpleNamespace(collective_rpc=self.rank)

    def rank(self, method: str, timeout: float | None, args: tuple[Any, ...]) -> list[Any]:
        reply: dict[str, Any] = {"digest": args[0] if args else ""}
        if method == "lethe_limits":
            return [{"slots": 1}]
        if method == "lethe_load":
            if args[1] == b"damaged":
                raise UnavailableError("expected the artifact")
            self.on_rank.add(args[0])
            reply |= {"needs": {"slots": 1}, "positional": False}
        if method == "lethe_unload":
            self.on_rank.discard(args[0])
            self.held.discard(args[0])
        if method == "lethe_hold":
            assert args[0] in self.on_rank
            self.held -= set(args[1])
            if args[0] in self.failing:
                raise UnavailableError("canary")
            self.held.add(args[0])
            assert len(self.held) == 1, "more than there is room for"
        return [reply]

    def load(self, digest: str, data: bytes = b"") -> Any:
        call = core._collective_rpc(lambda *args: [])
        return call(self, "lethe_load", None, (digest, data))

    def unload(self, digest: str) -> None:
        core._collective_rpc(lambda *args: [])(self, "lethe_unload", None, (digest,))

    def add(self, name: str, digest: str | None) -> None:
        stamp = {} if digest is None else {"unlearning_profile": Variant("x", digest).stamp}
        params = SimpleNamespace(extra_args=stamp)
        request = SimpleNamespace(request_id=name, client_index=3, sampling_params=params)
        core._admit(lambda self, one: self.scheduler.requests.update({one.request_id: one}))(
            self, request
        )

    def end(self, name: str) -> None:
        del self.scheduler.requests[name]
        core._post_step(lambda self: None)(self)

    def _send_error_outputs_to_client(self, names: list[str], client: int) -> None:
        self.told += [("error", name, client) for name in names]

    def _send_abort_outputs_to_client(self, names: list[str], client: int) -> None:
        self.told += [("abort", name, client) for name in names]


@pytest.fixture
def engine() -> Core:
    """Full: one request runs, and its profile takes all there is."""
    found = Core()
    found.load(FULL)
    found.add("running", FULL)
    for digest in (FAILS, WAITS):
        found.load(digest)
    assert list(found.scheduler.requests) == ["running"]
    return found


def test_a_failed_canary_fails_its_own_requests_alone(
    engine: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(core.logger, "error", lambda text, *args: logged.append(text % args))
    engine.failing.add(FAILS)
    engine.add("unlucky", FAILS)
    engine.add("patient", WAITS)
    engine.unload(WAITS)  # deleted; but its request came before
    engine.end("running")
    assert engine.told == [("error", "unlucky", 3)]
    assert list(engine.scheduler.requests) == ["patient"]
    assert (engine.on_rank, engine.held) == ({FULL, WAITS}, {WAITS})
    assert len(logged) == 1
    assert "canary" in logged[0]
    engine.end("patient")
    assert (engine.on_rank, engine.held) == ({FULL}, set())


def test_a_damaged_copy_of_what_is_there_changes_nothing(engine: Core) -> None:
    with pytest.raises(UnavailableError, match="expected the artifact"):
        engine.load(FULL, b"damaged")
    with pytest.raises(UnavailableError, match="expected the artifact"):
        engine.load(NEW, b"damaged")
    assert engine.on_rank == {FULL, FAILS, WAITS}
    engine.add("another", FULL)
    assert list(engine.scheduler.requests) == ["running", "another"]


ABORTS: dict[str, Callable[[Any, list[str]], Any]] = {
    "by its client": core._abort_requests(lambda *args: None),
    "by a pause": lambda engine, names: core._pause_scheduler(lambda *args: None)(engine, "abort"),
}


@pytest.mark.parametrize("how", ABORTS)
def test_a_request_that_waits_for_room_is_aborted_as_others_are(engine: Core, how: str) -> None:
    engine.add("patient", WAITS)
    ABORTS[how](engine, ["patient", "unknown"])
    assert engine.told == [("abort", "patient", 3)]
    engine.end("running")
    assert engine.scheduler.requests == {}


def test_a_pause_that_keeps_requests_keeps_those_that_wait(engine: Core) -> None:
    engine.add("patient", WAITS)
    core._pause_scheduler(lambda *args: None)(engine, "keep")
    engine.end("running")
    assert (engine.told, list(engine.scheduler.requests)) == ([], ["patient"])


def test_a_profile_that_nobody_loaded_is_refused(engine: Core) -> None:
    engine.add("lost", NEW)
    assert engine.told == [("error", "lost", 3)]
    engine.add("of the base", None)
    assert list(engine.scheduler.requests) == ["running", "of the base"]


def test_what_a_rank_says_of_itself_has_the_engines_own_figures_with_it() -> None:
    engine = Core()

    def figures() -> Any:
        call = core._collective_rpc(lambda *args: [{"held": 1}, {"held": 2}])
        return call(engine, "lethe_figures")

    engine.load(FULL)
    assert figures() == [{"held": held, "evictions": 0, "waiting": 0} for held in (1, 2)]
    engine.add("a", FULL)
    engine.load(WAITS)
    engine.add("b", WAITS)
    assert [one["waiting"] for one in figures()] == [1, 1]
    engine.end("a")
    assert figures() == [{"held": held, "evictions": 1, "waiting": 0} for held in (1, 2)]
