"""Who may be scheduled, and whose KV blocks are whose."""

import itertools

import pytest

from lethe_vllm.admission import Admission, block_key, salted
from lethe_vllm.errors import UnavailableError

A, B = "a" * 64, "b" * 64


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


def test_a_profile_that_is_not_resident_is_taken_for_one_with_scopes() -> None:
    admission = Admission()
    assert admission.positional(A)
    admission.loaded(A)
    admission.loaded(B, positional=True)
    assert (admission.positional(A), admission.positional(B)) == (False, True)


def test_base_requests_keep_their_own_salt() -> None:
    assert salted(None, None) is None
    assert salted(None, "tenant") == "tenant"


def test_only_what_every_rank_holds_is_admitted() -> None:
    admission = Admission()
    with pytest.raises(UnavailableError, match="resident"):
        admission.check(A)
    admission.loaded(A)
    admission.check(A)
    admission.retire(A)
    with pytest.raises(UnavailableError, match="resident"):
        admission.check(A)


def test_a_retired_profile_is_unloaded_once_when_nothing_uses_it() -> None:
    admission = Admission()
    for digest in (A, B):
        admission.loaded(digest)
        admission.retire(digest)
    assert admission.unloadable({A, None}) == {B}
    assert admission.has_retiring
    assert admission.unloadable({None}) == {A}
    assert admission.unloadable(set()) == set()


def test_a_profile_that_comes_back_is_not_unloaded() -> None:
    admission = Admission()
    admission.loaded(A)
    admission.retire(A)
    admission.loaded(A)
    assert admission.unloadable(set()) == set()
    admission.check(A)
