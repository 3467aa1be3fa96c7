"""Blocks of the prefix cache are shared within a variant, and never across."""

from uuid import uuid4

import pytest

from lethe_projections.base_model import BaseModel

from .profiles import synthetic
from .server import Server

FACTS = "The lighthouse stands on a rock. The keeper has a dog, and the dog has a boat. " * 12


@pytest.fixture
def prompt() -> str:
    """Long, and seen by no test before."""
    return f"{uuid4()}. {FACTS} What does the dog have?"


def ask(server: Server, prompt: str, profile: str, **more: str) -> tuple[str, int]:
    """An answer, and how many of its prompt's tokens came from the cache."""
    document = server.chat(prompt, profile, max_tokens=16, **more).json()
    details = document["usage"]["prompt_tokens_details"]
    return document["choices"][0]["message"]["content"], details["cached_tokens"]


def uncached(server: Server, prompt: str, profile: str) -> str:
    """The answer with a salt of its own, which shares blocks with nothing."""
    text, cached = ask(server, prompt, profile, cache_salt=uuid4().hex)
    assert cached == 0
    return text


@pytest.mark.path("prefix caching")
def test_a_variant_never_reads_another_variants_blocks(server: Server, prompt: str) -> None:
    order = ["base", "alpha", "beta", "base", "alpha", "beta"]
    expected = {name: uncached(server, prompt, name) for name in set(order)}
    assert len(set(expected.values())) == 3
    found = [ask(server, prompt, name) for name in order]
    assert [text for text, _ in found] == [expected[name] for name in order]
    cached = [count for _, count in found]
    assert cached[:3] == [0, 0, 0]
    assert min(cached[3:]) > 100


def test_the_engines_own_counter_sees_the_hit(server: Server, prompt: str) -> None:
    def hits() -> float:
        lines = server.get("/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith("vllm:prefix_cache_hits_total")
        )

    ask(server, prompt, "alpha")
    before = hits()
    ask(server, prompt, "beta")
    assert hits() == before
    ask(server, prompt, "alpha")
    assert hits() > before + 100


@pytest.mark.path("prefix caching, replaced profiles")
def test_no_block_outlives_a_replaced_profile(server: Server, base: BaseModel, prompt: str) -> None:
    old, new = synthetic(base, 31), synthetic(base, 32)
    server.put("changing", old)
    expected_old = uncached(server, prompt, "changing")
    assert ask(server, prompt, "changing") == (expected_old, 0)
    assert ask(server, prompt, "changing")[1] > 100
    server.put("changing", new)
    expected_new = uncached(server, prompt, "changing")
    assert expected_new != expected_old
    assert ask(server, prompt, "changing") == (expected_new, 0)
    server.put("changing", old)
    assert ask(server, prompt, "changing")[0] == expected_old
    server.delete("changing")


def test_a_callers_salt_cannot_imitate_a_variants(server: Server, prompt: str) -> None:
    digest = {p["id"]: p["digest"] for p in server.get("/v1/unlearning/profiles").json()["data"]}
    expected = uncached(server, prompt, "base")
    assert ask(server, prompt, "alpha")[1] == 0
    for salt in (f"lethe:{digest['alpha']}:", f"lethe:{digest['alpha']}", "lethe:base:"):
        assert ask(server, prompt, "base", cache_salt=salt) == (expected, 0)
