"""PUT, GET and DELETE against a fake engine: what is loaded, what is named, in which order."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lethe_projections import artifact
from lethe_server.sources import Sources
from lethe_vllm.errors import UnavailableError
from lethe_vllm.store.meanings import Change, Named

from .evaluating.documents import evidence
from .fakes import BASE, Server, make

URL = "/v1/unlearning/profiles/france"
OLD, NEW = make(1), make(2)
OLD_DIGEST, NEW_DIGEST = artifact.digest(OLD), artifact.digest(NEW)


def put(server: Server, data: bytes, url: str = URL) -> httpx.Response:
    return server.request("PUT", url, content=data)


def digest(server: Server) -> str:
    found: str = server.request("GET", URL).json()["digest"]
    return found


def test_a_new_name_is_created_and_a_known_one_replaced(server: Server) -> None:
    created, replaced = put(server, OLD), put(server, NEW)
    assert (created.status_code, replaced.status_code) == (201, 200)
    assert (created.json()["digest"], replaced.json()["digest"]) == (OLD_DIGEST, NEW_DIGEST)
    assert server.engine.held == {NEW_DIGEST}


def test_every_rank_holds_a_profile_before_it_has_the_name(server: Server) -> None:
    put(server, OLD)
    named_when_loaded = []
    real = server.engine.collective_rpc

    async def spy(method: str, args: tuple[str, bytes]) -> object:
        named_when_loaded.append((method, server.serving.catalogue.entry("france").digest))
        return await real(method, args)

    object.__setattr__(server.serving, "rpc", spy)
    put(server, NEW)
    assert named_when_loaded == [("lethe_load", OLD_DIGEST), ("lethe_unload", NEW_DIGEST)]


def test_the_document_says_what_the_profile_is(server: Server) -> None:
    document = put(server, OLD).json()
    assert document["object"] == "unlearning.profile"
    assert document["sites"] == ["layers.1.block"]
    assert (document["rank"], document["method"], document["resident"]) == (2, "synthetic", True)
    assert document["evidence"] is None
    assert document["base"]["fingerprint"] == BASE.fingerprint
    assert document["engine"] == {"dtype": "bfloat16", "quantization": "fp8"}
    assert server.request("GET", URL).json() == document
    assert server.request("GET", "/v1/unlearning/profiles").json()["object"] == "list"


def test_the_list_says_what_the_engine_tells_of_probabilities(server: Server) -> None:
    def told() -> Any:
        return server.request("GET", "/v1/unlearning/profiles").json()["logprobs"]

    assert told() == {"mode": "raw_logprobs", "top": 20}
    object.__setattr__(server.serving, "top_logprobs", None)
    object.__setattr__(server.serving, "logprobs_mode", "raw_logits")
    assert told() == {"mode": "raw_logits", "top": None}


def test_evidence_beside_the_artifact_is_shown(server: Server) -> None:
    put(server, OLD)
    found = evidence(OLD_DIGEST, BASE.fingerprint)
    file = server.serving.catalogue.folder / f"{OLD_DIGEST}.evidence.json"
    file.write_text(found.model_dump_json())
    assert server.request("GET", URL).json()["evidence"] == found.model_dump(mode="json")
    file.write_text('{"forget": 0.1}')
    assert server.request("GET", URL).json()["evidence"] is None


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"", 400, "0 bytes"),
        (b"\x80\x04pickle", 400, "a pickle"),
        (NEW[:-1], 400, "truncated"),
        (make(2, base=replace(BASE, fingerprint="cd" * 32)), 409, "another base model"),
        (make(2, hook="attn"), 409, "layers.1.attn"),
        (make(2, hook="mlp"), 409, "layers.1.mlp: this block is a mixture of experts"),
    ],
)
def test_what_cannot_be_served_is_refused_and_the_old_profile_stays(
    server: Server, data: bytes, status: int, says: str
) -> None:
    put(server, OLD)
    reply = put(server, data)
    assert reply.status_code == status
    assert says in reply.json()["error"]["message"]
    assert digest(server) == OLD_DIGEST
    assert server.engine.held == {OLD_DIGEST}


def test_what_the_engine_refuses_leaves_the_old_profile(server: Server) -> None:
    put(server, OLD)
    server.engine.refused.add(NEW_DIGEST)
    assert put(server, NEW).status_code == 503
    assert digest(server) == OLD_DIGEST


def test_a_full_disk_leaves_the_old_profile_and_nothing_loaded(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, OLD)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(server.serving.catalogue, "put", full)
    with pytest.raises(OSError, match="no space"):
        put(server, NEW)
    assert server.engine.held == {OLD_DIGEST}
    assert digest(server) == OLD_DIGEST


def allow(server: Server, *permitted: str) -> None:
    object.__setattr__(server.serving, "sources", Sources(permitted))


def test_an_artifact_is_taken_from_a_permitted_source(server: Server, tmp_path: Path) -> None:
    (tmp_path / "france.safetensors").write_bytes(OLD)
    body = {"source": f"{tmp_path}/france.safetensors"}
    refused = server.request("PUT", URL, json=body)
    assert refused.status_code == 403
    assert refused.json()["error"]["type"] == "PermissionDeniedError"
    allow(server, str(tmp_path))
    created = server.request("PUT", URL, json=body)
    assert (created.status_code, created.json()["digest"]) == (201, OLD_DIGEST)
    [version] = server.request("GET", f"{URL}/versions").json()["data"]
    assert version["source"] == body["source"]


@pytest.mark.parametrize(
    "body", [{}, [], {"source": 7}, {"source": "a", "more": 1}, {"src": "a"}, "text"]
)
def test_json_of_another_form_is_refused(server: Server, body: object) -> None:
    reply = server.request("PUT", URL, json=body)
    assert reply.status_code == 400
    assert "{'source': 'URL'}" in reply.json()["error"]["message"]


def test_a_rollback_gives_a_name_the_profile_before(server: Server) -> None:
    put(server, OLD)
    put(server, NEW)
    for back in (OLD_DIGEST, NEW_DIGEST):
        reply = server.request("POST", f"{URL}/rollback")
        assert (reply.status_code, reply.json()["digest"], digest(server)) == (200, back, back)
        assert server.engine.held == {back}
    versions = server.request("GET", f"{URL}/versions").json()["data"]
    assert [(one["version"], one["action"], one["current"]) for one in versions] == [
        (4, "rollback", True),
        (3, "rollback", False),
        (2, "put", False),
        (1, "put", False),
    ]
    assert versions[0]["source"] == "version 2"


@pytest.mark.parametrize("to", [{"version": 1}, {"digest": OLD_DIGEST[:12]}])
def test_a_rollback_may_name_the_version_and_bring_back_what_was_deleted(
    server: Server, to: dict[str, object]
) -> None:
    put(server, OLD)
    put(server, NEW)
    server.request("DELETE", URL)
    assert server.request("GET", URL).status_code == 404
    assert server.request("POST", f"{URL}/rollback", json=to).json()["digest"] == OLD_DIGEST
    assert digest(server) == OLD_DIGEST
    assert server.engine.held == {OLD_DIGEST}


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ({"version": 9}, 404),
        ({"version": 2}, 404),
        ({"digest": "0" * 12}, 404),
        ({"version": 1, "digest": OLD_DIGEST}, 422),
        ({"version": 0}, 422),
        ({"digest": "x"}, 422),
    ],
)
def test_a_rollback_to_what_never_was_changes_nothing(
    server: Server, to: dict[str, object], status: int
) -> None:
    put(server, OLD)
    server.request("DELETE", URL)
    put(server, NEW)
    reply = server.request("POST", f"{URL}/rollback", json=to)
    assert reply.status_code == status
    assert digest(server) == NEW_DIGEST
    assert server.request("POST", "/v1/unlearning/profiles/spain/rollback").status_code == 404


def test_a_rollback_that_the_engine_refuses_changes_nothing(server: Server) -> None:
    put(server, OLD)
    put(server, NEW)
    server.engine.refused.add(OLD_DIGEST)
    assert server.request("POST", f"{URL}/rollback").status_code == 503
    assert digest(server) == NEW_DIGEST


def test_a_pinned_name_is_changed_by_nothing(server: Server) -> None:
    put(server, OLD)
    put(server, NEW)
    marked = server.request("PATCH", URL, json={"pinned": True, "labels": {"ticket": "42"}})
    assert (marked.json()["pinned"], marked.json()["labels"]) == (True, {"ticket": "42"})
    for act in (
        lambda: put(server, OLD),
        lambda: server.request("POST", f"{URL}/rollback"),
        lambda: server.request("DELETE", URL),
    ):
        reply = act()
        assert reply.status_code == 409
        assert "unpin it first" in reply.json()["error"]["message"]
    assert (digest(server), server.engine.held) == (NEW_DIGEST, {NEW_DIGEST})
    assert server.request("PATCH", URL, json={"pinned": False}).json()["labels"] != {}
    assert put(server, OLD).status_code == 200


@pytest.mark.parametrize(
    "marks", [{"pinned": "maybe"}, {"labels": {"a": 1}}, {"labels": {"a": "b" * 257}}, {"more": 1}]
)
def test_marks_of_another_form_are_refused(server: Server, marks: dict[str, object]) -> None:
    put(server, OLD)
    before = server.request("GET", URL).json()
    assert server.request("PATCH", URL, json=marks).status_code == 422
    assert server.request("GET", URL).json() == before
    assert server.request("PATCH", f"{URL}x", json={"pinned": True}).status_code == 404
    assert server.request("GET", f"{URL}x/versions").status_code == 404


def test_an_artifact_over_the_limit_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "MAX_BYTES", 100)
    assert put(server, OLD).status_code == 413


@pytest.mark.parametrize("name", ["base", "France", ".hidden", "a" * 65, "a+b", "a@b"])
def test_a_name_that_cannot_be_requested_is_refused(server: Server, name: str) -> None:
    assert put(server, OLD, f"/v1/unlearning/profiles/{name}").status_code == 400
    assert server.serving.catalogue.listed() == []


def test_a_deleted_name_is_unknown_and_its_digest_unloaded(server: Server) -> None:
    put(server, OLD)
    reply = server.request("DELETE", URL)
    assert reply.json() == {"id": "france", "object": "unlearning.profile", "deleted": True}
    assert server.request("DELETE", URL).status_code == 404
    assert server.request("GET", URL).status_code == 404
    assert server.engine.held == set()


def test_a_digest_with_two_names_is_unloaded_with_the_last(server: Server) -> None:
    put(server, OLD)
    put(server, OLD, "/v1/unlearning/profiles/twin")
    server.request("DELETE", URL)
    assert server.engine.held == {OLD_DIGEST}
    put(server, NEW, "/v1/unlearning/profiles/twin")
    assert server.engine.held == {NEW_DIGEST}


def test_a_request_under_way_keeps_its_profile_loaded(server: Server) -> None:
    put(server, OLD)

    async def use(client: httpx.AsyncClient) -> None:
        asked = {"model": "smollm2:france"}
        stream = asyncio.create_task(client.post("/v1/stream", json=asked))
        while not server.serving.uses._count[OLD_DIGEST]:
            await asyncio.sleep(0.001)
        assert (await client.delete(URL)).status_code == 200
        assert (await client.post("/v1/chat/completions", json=asked)).status_code == 404
        await asyncio.sleep(0.05)
        assert server.engine.held == {OLD_DIGEST}
        server.gate.set()
        assert (await stream).text.endswith("end\n")

    server.run(use)
    assert server.engine.held == set()


def test_a_name_put_again_while_its_digest_waits_to_be_unloaded_keeps_it(server: Server) -> None:
    put(server, OLD)

    async def use(client: httpx.AsyncClient) -> None:
        stream = asyncio.create_task(client.post("/v1/stream", json={"model": "smollm2:france"}))
        while not server.serving.uses._count[OLD_DIGEST]:
            await asyncio.sleep(0.001)
        await client.delete(URL)
        await client.put(URL, content=OLD)
        server.gate.set()
        await stream

    server.run(use)
    assert server.engine.held == {OLD_DIGEST}


def test_concurrent_puts_leave_one_of_them_whole(server: Server) -> None:
    data = [make(seed) for seed in range(6)]

    async def use(client: httpx.AsyncClient) -> list[int]:
        replies = await asyncio.gather(*(client.put(URL, content=one) for one in data))
        return sorted(reply.status_code for reply in replies)

    assert server.run(use) == [200] * 5 + [201]
    assert server.engine.held == {digest(server)}


def only(server: Server, data: bytes, *headers: tuple[str, str]) -> httpx.Response:
    return server.request("PUT", URL, content=data, headers=list(headers))


FREE = ("If-None-Match", "*")
IF_OLD = ("If-Match", f'"{OLD_DIGEST}"')


def test_a_put_may_ask_for_a_free_name_or_for_what_the_name_means(server: Server) -> None:
    nothing = only(server, NEW, IF_OLD)
    created = only(server, OLD, FREE)
    taken, same = only(server, NEW, FREE), only(server, OLD, FREE)
    replaced = only(server, NEW, IF_OLD)
    late = only(server, OLD, IF_OLD)
    replies = (nothing, created, taken, same, replaced, late)
    assert [reply.status_code for reply in replies] == [412, 201, 412, 412, 200, 412]
    assert taken.json()["error"] == {
        "message": f"profile france: expected it to mean nothing, found {OLD_DIGEST[:12]}; nothing "
        "is changed: look at what it means now, and choose another name or ask again",
        "type": "PreconditionFailedError",
        "param": None,
        "code": 412,
    }
    assert digest(server) == NEW_DIGEST
    loaded = [one for method, one in server.engine.calls if method == "lethe_load"]
    assert loaded == [OLD_DIGEST, NEW_DIGEST], "what is refused is not loaded before"
    server.request("DELETE", URL)
    assert only(server, OLD, FREE).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        [("If-None-Match", f'"{OLD_DIGEST}"')],
        [("If-Match", "*")],
        [("If-Match", OLD_DIGEST)],
        [("If-Match", f'W/"{OLD_DIGEST}"')],
        [("If-Match", f'"{OLD_DIGEST[:12]}"')],
        [("If-Match", "")],
        [FREE, IF_OLD],
        [FREE, FREE],
        [IF_OLD, ("If-Match", f'"{NEW_DIGEST}"')],
    ],
)
def test_preconditions_of_another_form_are_refused(
    server: Server, headers: list[tuple[str, str]]
) -> None:
    put(server, OLD)
    reply = only(server, NEW, *headers)
    assert reply.status_code == 400
    assert f"'{headers[0][0]}: {headers[0][1]}'" in reply.json()["error"]["message"]
    assert digest(server) == OLD_DIGEST


@pytest.mark.parametrize("condition", [FREE, IF_OLD])
def test_of_concurrent_puts_with_one_precondition_one_is_made(
    server: Server, condition: tuple[str, str]
) -> None:
    if condition is IF_OLD:
        put(server, OLD)

    async def use(client: httpx.AsyncClient) -> list[int]:
        asked = (client.put(URL, content=make(seed), headers=[condition]) for seed in (3, 4))
        return sorted(reply.status_code for reply in await asyncio.gather(*asked))

    assert server.run(use) == [201 if condition is FREE else 200, 412]
    assert server.engine.held == {digest(server)}


def test_a_name_that_another_server_takes_meanwhile_is_left_to_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shares the store, and comes after the look and before the change."""
    names = server.serving.catalogue.names
    change = names.change

    def overtaken(name: str, wanted: Change) -> Named:
        monkeypatch.setattr(names, "change", change)
        server.serving.catalogue.put(name, OLD)
        return change(name, wanted)

    monkeypatch.setattr(names, "change", overtaken)
    assert only(server, NEW, FREE).status_code == 412
    assert digest(server) == OLD_DIGEST
    assert NEW_DIGEST not in server.engine.held


def fail_once_changed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database answers no look-up any more once a name was changed."""
    names = server.serving.catalogue.names
    change = names.change

    def away(*_: object) -> None:
        raise UnavailableError("store: expected it to answer, found nothing")

    def changed(*args: Any) -> Named:
        named = change(*args)
        monkeypatch.setattr(names, "_catch_up", away)
        return named

    monkeypatch.setattr(names, "change", changed)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_a_change_that_was_made_is_answered_whatever_cannot_be_tidied(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    put(server, NEW)
    put(server, OLD)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        fail_once_changed(server, patch)
        url = f"{URL}/rollback" if method == "POST" else URL
        reply = server.request(method, url, content=NEW if method == "PUT" else b"")
    assert reply.status_code == 200, reply.text
    assert "stays loaded until a restart" in caplog.text
    if method == "DELETE":
        assert server.request("GET", URL).status_code == 404
    else:
        assert reply.json()["digest"] == digest(server) == NEW_DIGEST


def test_a_mark_is_answered_whatever_comes_after(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, OLD)
    names = server.serving.catalogue.names
    mark = names.mark

    def marked(*args: Any) -> Named:
        named = mark(*args)
        monkeypatch.setattr(names, "find", None)
        return named

    monkeypatch.setattr(names, "mark", marked)
    assert server.request("PATCH", URL, json={"pinned": True}).json()["pinned"] is True


def test_evidence_that_cannot_be_read_fails_no_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise UnavailableError("objects: expected it to answer, found nothing")

    monkeypatch.setattr(server.serving.catalogue.objects, "beside", away)
    assert put(server, OLD).json()["evidence"] is None


def test_a_new_file_is_seen_by_those_who_ask_for_its_name_in_any_way(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "profiles"
    for name, ask in (
        ("france", lambda path: server.request("PATCH", path, json={"pinned": True})),
        ("spain", lambda path: server.request("GET", f"{path}/versions")),
        ("italy", lambda path: server.request("POST", f"{path}/rollback", json={"version": 1})),
    ):
        (folder / f"{name}.safetensors").write_bytes(make(1))
        reply = ask(f"/v1/unlearning/profiles/{name}")
        assert reply.status_code == 200, reply.text


def test_a_client_is_not_told_where_the_server_keeps_what(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.serving.catalogue.put("france", make(1))
    objects = server.serving.catalogue.objects

    def fails(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "secret"))

    monkeypatch.setattr(objects, "_write", fails)
    written = server.request("PUT", "/v1/unlearning/profiles/spain", content=make(2))
    monkeypatch.setattr(objects._files, "cat_file", fails)
    server.serving.catalogue._profiles.clear()
    read = server.post("/v1/chat/completions", json={"model": "smollm2:france"})
    for reply in (written, read):
        assert reply.status_code == 503
        assert "Permission denied" in reply.json()["error"]["message"]
        assert str(tmp_path) not in reply.text
    assert caplog.text.count(str(tmp_path / "secret")) == 2
