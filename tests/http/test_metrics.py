"""Metrics of a running server are what its answers say that they cost."""

from collections import Counter
from typing import Any

from .metrics import grown, metrics
from .server import QUESTION, Server

STORY = "Write a long story about a lighthouse keeper and his dog."


def test_metrics_are_what_the_answers_say_they_cost(server: Server) -> None:
    """Single answers, streams, n of 2, a stop string and a completion of two prompts."""
    for profile in ("alpha", "beta", "base"):
        server.answer(QUESTION, profile)
    before = metrics(server)
    used: dict[str, Counter[str]] = {}

    def add(profile: str, usage: dict[str, Any]) -> None:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        used.setdefault(profile, Counter()).update(
            requests=1, prompt=usage["prompt_tokens"], generated=usage["completion_tokens"],
            cached=cached,
        )  # fmt: skip

    for profile, times in (("base", 1), ("alpha", 2), ("beta", 3)):
        for _ in range(times):
            add(profile, server.chat(QUESTION, profile).json()["usage"])
    two = server.chat(QUESTION, "beta", n=2, temperature=1.0, seed=1).json()
    assert len(two["choices"]) == 2
    add("beta", two["usage"])
    [first, *_] = server.answer(STORY, "base", max_tokens=40).split(".")
    stopped = server.chat(STORY, "base", max_tokens=40, stop=[first[-6:]]).json()
    assert stopped["choices"][0]["finish_reason"] == "stop"
    used["base"].update(requests=1)
    add("base", stopped["usage"])
    untold = server.chat(STORY, "base", max_tokens=40).json()["usage"]
    add("base", untold)
    used["base"].update(prompt=untold["prompt_tokens"], generated=untold["completion_tokens"])
    *_, (_, streamed) = server.chunks(STORY, "alpha", 17)
    once = server.chat(STORY, "alpha", max_tokens=17, ignore_eos=True).json()["usage"]
    assert streamed == once["completion_tokens"] == 17
    for _ in range(2):
        add("alpha", once)
    body = {"model": "smollm2", "prompt": ["One", "Two or three"], "max_tokens": 3}
    add("alpha", server.post("/v1/completions", body, "alpha").json()["usage"])
    assert server.chat(QUESTION, "nobody").status_code == 404
    assert server.chat(QUESTION, "alpha", max_tokens=-1).status_code == 400
    after = metrics(server)

    for profile, expected in used.items():
        assert expected["generated"] > 20
        for name, value in (
            ("lethe:requests_total", expected["requests"]),
            ("lethe:request_seconds_count", expected["requests"] + (profile == "alpha")),
            ("lethe:prompt_tokens_total", expected["prompt"]),
            ("lethe:generation_tokens_total", expected["generated"]),
        ):
            label = f"{profile},2xx" if name == "lethe:requests_total" else profile
            assert grown(before, after, name, label) == value, (name, profile)
    assert grown(before, after, "lethe:requests_total", "alpha,4xx") == 1
    assert grown(before, after, "lethe:refusals_total", "UnknownProfileError") == 1
    assert not any("nobody" in label for _, label in after)
    assert after["lethe:profiles_registered", ""] >= after["lethe:profiles_held", ""] >= 2
    assert after["lethe:profile_loads_total", ""] >= 2
    assert after["lethe:profile_bytes_held", ""] > 0
    sequences = used["beta"]["requests"] + 1
    assert grown(before, after, "lethe:time_to_first_token_seconds_count", "beta") == sequences
    assert grown(before, after, "lethe:time_to_first_token_seconds_sum", "beta") > 0
    # All but what came from the cache and each sequence's last token went through the model.
    assert ("lethe:edited_tokens", "base") not in after
    edited = grown(before, after, "lethe:edited_tokens", "beta")
    beta = used["beta"]
    assert edited >= beta["prompt"] - beta["cached"] + beta["generated"] - sequences > 0
