"""Who may be scheduled, and whose KV blocks are whose."""

import itertools

import pytest

from lethe_vllm.admission import Admission, Registered, Waiting, largest, smallest
from lethe_vllm.cache_keys import block_key, salted
from lethe_vllm.errors import UnavailableError

A, B, C = "a" * 64, "b" * 64, "c" * 64
SMALL = Registered({"bytes": 40, "slots": 1})


def test_salts_never_meet_whatever_a_caller_sends() -> None:
    imitations = [
        None,
        "",
        "x",
        f"lethe:{A}:",
        f"lethe:{A}:x",
        f"lethe:at:{A}:x",
        f"at:{A}:",
        "lethe:base:x",
        "lethe:",
        "base",
    ]
    kinds = [(None, False), (A, False), (B, False), (A, True)]
    salts: dict[str | None, object] = {}
    for kind, caller in itertools.product(kinds, imitations):
        salt = salted(kind[0], caller, kind[1])
        # An absent and an empty salt are one to vLLM, and so they are here.
        assert salts.setdefault(salt or None, (kind, caller or None)) == (kind, caller or None)


def test_blocks_before_the_prompts_end_are_shared_and_later_ones_only_at_one_length() -> None:
    salt = salted(A, "x", positional=True)
    assert block_key(salt, 16, 17) == block_key(salt, 16, 40) == ()
    assert block_key(salt, 16, 16) != ()
    assert block_key(salt, 32, 20) != block_key(salt, 32, 21)
    assert block_key(salted(A, "x"), 32, 20) == block_key(None, 32, 20) == ()
    assert block_key(salted(None, salt), 32, 20) == ()


def test_a_profile_that_is_not_registered_is_taken_for_one_with_scopes() -> None:
    admission = Admission({"bytes": 100, "slots": 9})
    assert admission.positional(A)
    admission.registered(A, SMALL)
    admission.registered(B, Registered({"bytes": 40, "slots": 1}, positional=True))
    assert (admission.positional(A), admission.positional(B)) == (False, True)


def test_base_requests_keep_their_own_salt() -> None:
    assert salted(None, None) is None
    assert salted(None, "tenant") == "tenant"


def test_only_what_every_rank_has_is_admitted() -> None:
    admission = Admission({"bytes": 100, "slots": 9})
    with pytest.raises(UnavailableError, match="on every rank"):
        admission.check(A)
    admission.registered(A, SMALL)
    admission.check(A)
    admission.retire(A)
    with pytest.raises(UnavailableError, match="on every rank"):
        admission.check(A)


def test_a_retired_profile_is_unloaded_once_when_nothing_uses_it() -> None:
    admission = Admission({"bytes": 100, "slots": 9})
    for digest in (A, B):
        admission.registered(digest, SMALL)
        admission.hold(digest, ())
        admission.retire(digest)
    assert admission.unloadable({A, None}) == {B}
    assert admission.has_retiring
    assert admission.held == (A,)
    assert admission.unloadable({None}) == {A}
    assert admission.unloadable(set()) == set()


def test_a_profile_that_comes_back_is_not_unloaded() -> None:
    admission = Admission({"bytes": 100, "slots": 9})
    admission.registered(A, SMALL)
    admission.retire(A)
    admission.registered(A, SMALL)
    assert admission.unloadable(set()) == set()
    admission.check(A)


def held(admission: Admission, *digests: str) -> Admission:
    for digest in digests:
        admission.registered(digest, SMALL)
        admission.hold(digest, ())
    return admission


def test_the_longest_unused_makes_room() -> None:
    admission = held(Admission({"bytes": 100, "slots": 9}), A, B)
    assert admission.use(A)
    assert not admission.use(C)
    admission.registered(C, SMALL)
    assert admission.room(C, {None}) == (B,)
    admission.hold(C, (B,))
    assert admission.held == (A, C)
    admission.registered(B, Registered({"bytes": 90, "slots": 1}))
    assert admission.room(B, set()) == (A, C)


def test_what_a_request_uses_never_makes_room() -> None:
    admission = held(Admission({"bytes": 100, "slots": 9}), A, B)
    admission.registered(C, SMALL)
    assert admission.room(C, {A}) == (B,)
    assert admission.room(C, {A, B, None}) is None
    assert held(Admission({"bytes": 120, "slots": 9}), A, B, C).held == (A, B, C)


def test_a_profile_larger_than_the_bank_is_refused() -> None:
    admission = Admission({"bytes": 100, "slots": 9})
    with pytest.raises(UnavailableError, match="--lethe-bank-mb"):
        admission.registered(A, Registered({"bytes": 101, "slots": 1}))
    with pytest.raises(UnavailableError, match="on every rank"):
        admission.check(A)


def test_a_request_that_is_given_up_waits_no_more() -> None:
    admission = Admission({"bytes": 100, "slots": 9})
    for name in ("x", "y"):
        admission.waiting.append(Waiting(name, 0, A, lambda: None))
    assert [one.request_id for one in admission.abandon(["x", "other"])] == ["x"]
    assert [one.request_id for one in admission.waiting] == ["y"]


def test_what_failed_is_forgotten_and_nothing_else() -> None:
    admission = held(Admission({"bytes": 100, "slots": 9}), A, B)
    admission.retire(B)
    admission.forget(A)
    assert (A in admission, B in admission, admission.held) == (False, True, (B,))
    admission.forget(A)


def test_whatever_is_short_decides() -> None:
    admission = Admission({"bytes": 1000, "slots": 2})
    assert held(admission, A, B).held == (A, B)
    admission.registered(C, SMALL)
    assert admission.room(C, set()) == (A,)


def test_ranks_are_held_to_the_one_with_most_to_hold_and_least_room() -> None:
    ranks = [{"bytes": 3, "slots": 1}, {"bytes": 5}]
    assert largest(ranks) == {"bytes": 5, "slots": 1}
    assert smallest(ranks) == {"bytes": 3, "slots": 1}


def test_a_request_that_waits_is_still_served_by_a_profile_retired_since() -> None:
    admission = held(Admission({"bytes": 100, "slots": 9}), A, B)
    admission.registered(C, SMALL)
    admission.retire(C)
    assert admission.room(C, {A}) == (B,)
    admission.hold(C, (B,))
    assert admission.unloadable({C}) == set()
    assert admission.unloadable(set()) == {C}
    with pytest.raises(UnavailableError, match="add it again"):
        admission.room(C, set())
