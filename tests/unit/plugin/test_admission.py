"""Who may be scheduled, and whose KV blocks are whose."""

import itertools

import pytest

from lethe_vllm.admission import Admission, salted
from lethe_vllm.errors import UnavailableError

A, B = "a" * 64, "b" * 64


def test_salts_never_meet_whatever_a_caller_sends() -> None:
    imitations = [None, "", "x", f"lethe:{A}:", f"lethe:{A}:x", "lethe:base:x", "lethe:", "base"]
    requests = list(itertools.product([None, A, B], imitations))
    salts: dict[str | None, tuple[str | None, str | None]] = {}
    for digest, caller in requests:
        salt = salted(digest, caller)
        # An absent and an empty salt are one to vLLM, and so they are here.
        same = salts.setdefault(salt or None, (digest, caller or None))
        assert same == (digest, caller or None)


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
