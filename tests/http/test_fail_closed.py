"""A request that names a profile is served by exactly that profile, or by an error."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel

from .profiles import synthetic
from .server import PROFILES, QUESTION, Server

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 2},
    "/v1/responses": {"input": "Hi", "max_output_tokens": 2},
    "/v1/messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("profile", "fields", "status"),
    [
        ("spain", {}, 404),
        ("france@00000000", {}, 404),
        (None, {"model": "smollm2:spain"}, 404),
        ("base", {"model": "smollm2:france"}, 400),
        ("alpha", {"model": "smollm2:france"}, 400),
        ("alpha+base", {}, 400),
        ("alpha+nobody", {}, 404),
        ("", {}, 400),
        (None, {"vllm_xargs": {"unlearning_profile": "france"}}, 400),
        ("france", {"vllm_xargs": {"unlearning_profile": "france"}}, 400),
    ],
)
def test_a_selection_that_cannot_be_served_is_an_error(
    server: Server,
    path: str,
    profile: str | None,
    fields: dict[str, Any],
    status: int,
    stream: bool,
) -> None:
    body = {"model": "smollm2", **BODIES[path], **fields, "stream": stream}
    reply = server.post(path, body, profile)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["code"] == status
    assert "expected" in error["message"]
    assert "found" in error["message"]


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_model_is_vllms_to_refuse(server: Server, path: str) -> None:
    reply = server.post(path, {"model": "gpt-4", **BODIES[path]}, "france")
    assert reply.status_code == 404


def test_a_model_that_only_vllm_reads_is_not_served_by_the_base(server: Server) -> None:
    """SageMaker's header replaces the model after Lethe has read it."""
    body = {"model": "smollm2", **BODIES["/v1/chat/completions"]}
    headers = {"X-Amzn-SageMaker-Adapter-Identifier": "smollm2:france"}
    with server.client as client:
        reply = client.post("/invocations", json=body, headers=headers)
    assert reply.status_code == 404


def test_the_same_key_twice_is_refused(server: Server) -> None:
    body = json.dumps({"model": "smollm2", **BODIES["/v1/completions"]})
    twice = body[:-1] + ', "model": "smollm2:france"}'
    with server.client as client:
        headers = {"content-type": "application/json"}
        reply = client.post("/v1/completions", content=twice, headers=headers)
    assert reply.status_code == 400


@pytest.fixture
def victim(server: Server, base: BaseModel) -> Iterator[str]:
    """A name that has a good profile, for bad ones to be put over."""
    assert server.put("victim", synthetic(base, 7)).status_code == 201
    yield "victim"
    assert server.delete("victim").status_code == 200


def _header_changed(data: bytes, old: bytes, new: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length]
    assert old in header
    changed = header.replace(old, new)
    return len(changed).to_bytes(8, "little") + changed + data[8 + length :]


def _bad(base: BaseModel) -> dict[str, tuple[bytes, int, str]]:
    good = synthetic(base, 8)
    wide = replace(base, hidden_size=base.hidden_size + 8)
    nan = bytearray(good)
    nan[-4:] = b"\x00\x00\xc0\x7f"
    return {
        "truncated": (good[:-100], 400, "truncated"),
        "NaN": (bytes(nan), 400, "finite"),
        "wrong shape": (_header_changed(good, b"[4,576]", b"[4,575]"), 400, "expected"),
        "pickle": (b"\x80\x04\x95junk", 400, "a pickle"),
        "unknown version": (
            _header_changed(good, rb"format_version\":2", rb"format_version\":9"),
            400,
            "found 9",
        ),
        "other weights": (synthetic(replace(base, fingerprint="0" * 64), 8), 409, "another base"),
        "other width": (synthetic(wide, 8), 409, "hidden_size"),
        "site not installed": (synthetic(base, 8, hook="attn"), 409, "attn"),
    }


def test_a_bad_artifact_is_refused_and_the_previous_profile_still_serves(
    server: Server, base: BaseModel, victim: str
) -> None:
    before = server.answer(QUESTION, victim)
    assert before != server.answer(QUESTION)
    digest = server.get(f"{PROFILES}/{victim}").json()["digest"]
    for kind, (data, status, says) in _bad(base).items():
        reply = server.put(victim, data)
        assert reply.status_code == status, (kind, reply.text)
        message = reply.json()["error"]["message"]
        assert "expected" in message, (kind, message)
        assert "found" in message, (kind, message)
        assert says in message, (kind, message)
        assert server.get(f"{PROFILES}/{victim}").json()["digest"] == digest
        assert server.answer(QUESTION, victim) == before, kind


def test_a_bad_artifact_makes_no_new_name(server: Server, base: BaseModel) -> None:
    for data, status, _ in _bad(base).values():
        assert server.put("never", data).status_code == status
        assert server.get(f"{PROFILES}/never").status_code == 404
    assert server.chat(QUESTION, "never").status_code == 404
