"""Several profiles in one request: one digest whatever the order, kept, displaced and dropped."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from lethe_projections import artifact
from lethe_projections.compose import compose
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

from .fakes import BASE, Server, make

CHAT, PROFILES = "/v1/chat/completions", "/v1/unlearning/profiles"
HEADER = "X-Unlearning-Profile"


def put(server: Server, **profiles: bytes) -> None:
    for name, data in profiles.items():
        assert server.request("PUT", f"{PROFILES}/{name}", content=data).status_code in (200, 201)


def ask(server: Server, profile: str, **body: Any) -> httpx.Response:
    return server.post(CHAT, json={"messages": [], **body}, headers={HEADER: profile})


def composed(*data: bytes) -> str:
    profile = compose([artifact.from_bytes(one) for one in data])
    return artifact.digest(artifact.to_bytes(profile))


def test_a_composition_is_served_by_its_own_digest_in_any_order(server: Server) -> None:
    put(server, a=make(1), b=make(2))
    digest = composed(make(1), make(2))
    first = digest[:12]
    for asked in ("a+b", "b+a", "b+a+b"):
        reply = ask(server, asked)
        assert (reply.status_code, reply.headers[HEADER]) == (200, f"a+b@{first}")
        assert reply.json()["served_by"] == "a+b"
    by_model = server.post(CHAT, json={"model": "smollm2:b+a"})
    assert by_model.headers[HEADER] == f"a+b@{first}"
    assert [call for call in server.engine.calls if call[1] == digest] == [("lethe_load", digest)]
    assert digest not in (composed(make(1)), composed(make(2)))


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [("a+none", 404, "'none'"), ("a+base", 400, "'base' alone"), ("a+b@01234567", 404, "01234567"),
     ("+".join("abcdefghi"), 400, "at most 8")],
)  # fmt: skip
def test_a_composition_that_cannot_be_is_an_error(
    server: Server, asked: str, status: int, says: str
) -> None:
    put(server, a=make(1), b=make(2))
    reply = ask(server, asked)
    assert reply.status_code == status
    assert says in reply.json()["error"]["message"]


def test_a_rank_past_the_bound_is_refused(server: Server) -> None:
    put(server, **{name: make(seed) for seed, name in enumerate("abcde")})
    assert ask(server, "a+b+c+d").status_code == 200
    reply = ask(server, "a+b+c+d+e")
    assert reply.status_code == 400
    assert "expected rank 8 or less" in reply.json()["error"]["message"]


def test_concurrent_first_requests_compose_and_load_once(server: Server) -> None:
    put(server, a=make(1), b=make(2))

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        post = (client.post(CHAT, json={}, headers={HEADER: "a+b"}) for _ in range(20))
        return list(await asyncio.gather(*post))

    assert {reply.status_code for reply in server.run(use)} == {200}
    digest = composed(make(1), make(2))
    assert [call for call in server.engine.calls if call[1] == digest] == [("lethe_load", digest)]


async def settled() -> None:
    """Returns when what a request left behind, unloading, is done."""
    unloading = [task for task in asyncio.all_tasks() if task.get_name().startswith("unload")]
    await asyncio.gather(*unloading)


def test_a_replaced_part_takes_its_compositions_with_it(server: Server) -> None:
    old, new = composed(make(1), make(2)), composed(make(1), make(3))
    put(server, a=make(1), b=make(2))

    async def use(client: httpx.AsyncClient) -> None:
        def ask() -> Any:
            return client.post(CHAT, json={}, headers={HEADER: "a+b"})

        assert (await ask()).headers[HEADER] == f"a+b@{old[:12]}"
        await client.put(f"{PROFILES}/b", content=make(3))
        await settled()
        serving = server.serving
        assert all(old not in kept for kept in (server.engine.held, serving.answered))
        assert old not in serving.front_end.resident
        assert (await ask()).headers[HEADER] == f"a+b@{new[:12]}"
        assert (await client.delete(f"{PROFILES}/a")).status_code == 200
        await settled()
        assert (await ask()).status_code == 404
        assert server.engine.held == {artifact.digest(make(3))}

    server.run(use)


def test_a_part_with_another_name_keeps_its_compositions(server: Server) -> None:
    put(server, a=make(1), b=make(2), also=make(2))
    ask(server, "a+b")
    server.request("DELETE", f"{PROFILES}/b")
    assert composed(make(1), make(2)) in server.engine.held
    assert ask(server, "a+also").headers[HEADER] == f"a+also@{composed(make(1), make(2))[:12]}"


def test_the_composition_used_longest_ago_makes_room(server: Server) -> None:
    server.serving.front_end.compositions.limit = 2
    put(server, a=make(1), b=make(2), c=make(3))
    for asked in ("a+b", "a+c", "a+b", "b+c"):
        assert ask(server, asked).status_code == 200
    of = {"a": make(1), "b": make(2), "c": make(3)}
    held = {name: composed(*(of[part] for part in name)) in server.engine.held
            for name in ("ab", "ac", "bc")}  # fmt: skip
    assert held == {"ab": True, "ac": False, "bc": True}


def test_a_comparison_takes_compositions(server: Server) -> None:
    put(server, a=make(1), b=make(2))
    body = {"messages": [{"role": "user", "content": "x"}], "profiles": ["base", "a", "b+a"]}
    results = server.post("/v1/unlearning/compare", json=body).json()["results"]
    assert [result["profile"] for result in results] == ["base", "a", "a+b"]
    assert results[2]["digest"] == composed(make(1), make(2))


def scoped(scope: str) -> bytes:
    A = artifact.from_bytes(make(7)).projectors[0].A
    return artifact.to_bytes(Profile(BASE, (Projector(Site(1, "block"), A, A, scope=scope),), "x"))


def test_beam_search_is_refused_for_a_scope_that_it_would_shift(server: Server) -> None:
    put(server, whole=scoped("all"), last=scoped("last_prompt_token"))
    for profile in ("last", "last+whole"):
        refused = ask(server, profile, use_beam_search=True)
        assert refused.status_code == 400
        assert "use_beam_search" in refused.json()["error"]["message"]
        assert ask(server, profile, use_beam_search=False).status_code == 200
    for profile in ("whole", "base"):
        reply = ask(server, profile, use_beam_search=True)
        assert reply.status_code == 200
        assert json.loads(reply.json()["body"])["use_beam_search"] is True
