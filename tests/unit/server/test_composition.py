"""Compositions through the application: who asks gets exactly that, and nothing is left behind."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import torch

from lethe_projections import artifact
from lethe_projections.compose import compose
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_vllm import frontend as resolving
from lethe_vllm.catalogue import Catalogue

from .fakes import BASE, Server, make

CHAT = "/v1/chat/completions"
PROFILES = "/v1/unlearning/profiles"
NAMES = "abcde"
DIGESTS = {name: artifact.digest(make(seed)) for seed, name in enumerate(NAMES)}


def composed_bytes(*seeds: int) -> bytes:
    return artifact.to_bytes(compose([artifact.from_bytes(make(seed)) for seed in seeds]))


AB, BC = artifact.digest(composed_bytes(0, 1)), artifact.digest(composed_bytes(1, 2))


@pytest.fixture
def server(server: Server) -> Server:
    for seed, name in enumerate(NAMES):
        server.serving.catalogue.put(name, make(seed))
    return server


def ask(server: Server, profile: str) -> httpx.Response:
    return server.post(CHAT, json={"model": "smollm2"}, headers={"X-Unlearning-Profile": profile})


@pytest.mark.parametrize(
    ("headers", "model"),
    [
        ({"X-Unlearning-Profile": "a+b"}, "smollm2"),
        ({"X-Unlearning-Profile": "b+a"}, "smollm2"),
        ({"X-Unlearning-Profile": f"b@{DIGESTS['b'][:8]}+a"}, "smollm2"),
        ({}, "smollm2:b+a"),
        ({"X-Unlearning-Profile": "b+a"}, "smollm2:a+b"),
    ],
)
def test_several_names_are_served_by_their_composition(
    server: Server, headers: dict[str, str], model: str
) -> None:
    reply = server.post(CHAT, json={"model": model}, headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.json()["served_by"] == "a+b"
    assert reply.headers["x-unlearning-profile"] == f"a+b@{AB[:12]}"
    assert server.engine.calls == [("lethe_load", AB)]


@pytest.mark.parametrize(
    ("profile", "status", "says"),
    [
        ("a+spain", 404, "found 'spain'"),
        ("a+b@00000000", 404, "profile b: expected digest 00000000"),
        ("base+a", 400, "'base' alone"),
        ("+".join("abcdefghi"), 400, "at most 8"),
        ("a+b+c+d+e", 400, "rank 8 or less for all profiles together, found 10"),
    ],
)
def test_what_cannot_be_composed_is_refused(
    server: Server, profile: str, status: int, says: str
) -> None:
    reply = ask(server, profile)
    assert reply.status_code == status
    assert says in reply.json()["error"]["message"]
    assert server.engine.calls == []


def test_concurrent_first_requests_compose_and_load_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = resolving.composed

    def counted(parts: Sequence[Any]) -> Any:
        made.append(len(parts))
        return real(parts)

    monkeypatch.setattr(resolving, "composed", counted)

    async def use(client: httpx.AsyncClient) -> set[str]:
        models = [f"smollm2:{name}" for name in ("a+b", "b+a")] * 4
        replies = await asyncio.gather(*(client.post(CHAT, json={"model": m}) for m in models))
        return {reply.headers["x-unlearning-profile"] for reply in replies}

    assert server.run(use) == {f"a+b@{AB[:12]}"}
    assert made == [2]
    assert server.engine.calls == [("lethe_load", AB)]


def test_a_comparison_takes_compositions(server: Server) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "profiles": ["b+a", "a", "base"]}
    results = server.post("/v1/unlearning/compare", json=body).json()["results"]
    assert [result["profile"] for result in results] == ["a+b", "a", "base"]
    assert [result["digest"] for result in results] == [AB, DIGESTS["a"], None]
    assert results[0]["text"] == "as a+b"
    body["profiles"] = ["b+a", "a+b"]
    assert server.post("/v1/unlearning/compare", json=body).status_code == 400


async def settled() -> None:
    """Returns when what a request left behind, unloading, is done."""
    unloading = [task for task in asyncio.all_tasks() if task.get_name().startswith("unload")]
    await asyncio.gather(*unloading)


def test_a_replaced_part_takes_its_compositions_with_it(server: Server) -> None:
    old, new = (artifact.digest(composed_bytes(0, seed)) for seed in (1, 9))

    async def use(client: httpx.AsyncClient) -> None:
        def ask() -> Any:
            return client.post(CHAT, json={}, headers={"X-Unlearning-Profile": "a+b"})

        assert (await ask()).headers["x-unlearning-profile"] == f"a+b@{old[:12]}"
        await client.put(f"{PROFILES}/b", content=make(9))
        await settled()
        serving = server.serving
        assert all(old not in kept for kept in (server.engine.held, serving.answered))
        assert old not in serving.front_end.resident
        assert (await ask()).headers["x-unlearning-profile"] == f"a+b@{new[:12]}"
        assert (await client.delete(f"{PROFILES}/a")).status_code == 200
        await settled()
        assert (await ask()).status_code == 404
        assert server.engine.held == {artifact.digest(make(9))}

    server.run(use)


def test_a_part_with_another_name_keeps_its_compositions(server: Server) -> None:
    server.serving.catalogue.put("twin", make(0))
    ask(server, "a+b")
    server.request("DELETE", f"{PROFILES}/twin")
    assert AB in server.engine.held


def test_a_composition_under_way_is_held_until_it_ends(server: Server) -> None:
    async def use(client: httpx.AsyncClient) -> None:
        asked = {"model": "smollm2:a+b"}
        stream = asyncio.create_task(client.post("/v1/stream", json=asked))
        while not server.serving.uses._count[AB]:
            await asyncio.sleep(0.001)
        await client.delete(f"{PROFILES}/a")
        assert (await client.post(CHAT, json=asked)).status_code == 404
        await asyncio.sleep(0.05)
        assert AB in server.engine.held
        server.gate.set()
        assert (await stream).text.split() == ["a+b"] * 3 + ["end"]

    server.run(use)
    assert server.engine.held == set()


def test_a_displaced_composition_is_unloaded_and_comes_back_when_asked(server: Server) -> None:
    server.serving.front_end.compositions.limit = 2
    for profile in ("a+b", "b+c", "c+d"):
        assert ask(server, profile).status_code == 200
    assert AB not in server.engine.held
    assert BC in server.engine.held
    assert len(server.engine.held) == 2
    assert set(server.serving.answered) == server.engine.held
    assert ask(server, "a+b").status_code == 200
    assert AB in server.engine.held


def test_a_composition_displaced_while_in_use_and_asked_again_stays(server: Server) -> None:
    server.serving.front_end.compositions.limit = 1

    async def use(client: httpx.AsyncClient) -> None:
        stream = asyncio.create_task(client.post("/v1/stream", json={"model": "smollm2:a+b"}))
        while not server.serving.uses._count[AB]:
            await asyncio.sleep(0.001)
        for profile in ("b+c", "a+b"):
            reply = await client.post(CHAT, json={"model": f"smollm2:{profile}"})
            assert reply.status_code == 200
        server.gate.set()
        await stream

    server.run(use)
    assert server.engine.held == {AB}


def test_a_composition_and_a_name_of_one_digest_do_without_each_other(server: Server) -> None:
    server.serving.front_end.compositions.limit = 1
    ask(server, "a+b")
    server.request("PUT", f"{PROFILES}/both", content=composed_bytes(0, 1))
    assert ask(server, "both").headers["x-unlearning-profile"] == f"both@{AB[:12]}"
    ask(server, "b+c")
    assert server.engine.held == {AB, BC}
    ask(server, "a+b")
    server.request("DELETE", f"{PROFILES}/both")
    assert server.engine.held == {AB}


def positional(scope: str) -> bytes:
    factor = torch.ones(1, 8)
    projector = Projector(Site(1, "block"), factor, factor, scope=scope)
    return artifact.to_bytes(Profile(BASE, (projector,), "synthetic"))


@pytest.mark.parametrize(
    ("profile", "beams", "status"),
    [
        ("prompted", True, 400),
        ("prompted", False, 200),
        ("a+prompted", True, 400),
        ("prompted", "true", 400),
        ("a", True, 200),
        ("base", True, 200),
    ],
)
def test_beam_search_is_refused_where_the_end_of_the_prompt_matters(
    server: Server, profile: str, beams: Any, status: int
) -> None:
    server.serving.catalogue.put("prompted", positional("prompt"))
    reply = server.post(CHAT, json={"model": f"smollm2:{profile}", "use_beam_search": beams})
    assert reply.status_code == status
    if status == 400:
        assert "use_beam_search" in reply.json()["error"]["message"]


@pytest.mark.parametrize("by", ["file", "process"])
def test_a_part_that_somebody_else_replaced_takes_its_compositions_with_it(
    server: Server, by: str
) -> None:
    catalogue = server.serving.catalogue
    assert ask(server, "a+b").status_code == 200
    if by == "file":
        (catalogue.folder / "a.safetensors").write_bytes(make(9))
    else:
        Catalogue(catalogue.folder, BASE).put("a", make(9))
    assert ask(server, "a").status_code == 200
    assert server.engine.held == {artifact.digest(make(9))}
    assert AB not in server.serving.front_end.compositions
