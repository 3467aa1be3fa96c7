"""Experiments on a real server: each unit has its arm's own answers, and all of it is recorded."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from .server import HEADER, QUESTION, Server, events

EXPERIMENT = "X-Unlearning-Experiment"
URL = "/v1/unlearning/experiments"
ARMS = {"plain": "base", "one": "alpha", "two": "beta"}
USERS = 30
"""So many that each arm has one of them: but for one run in 60 000."""
CHAT = {"model": "smollm2", "messages": [{"role": "user", "content": QUESTION}]}
SHORT = {"max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def trial(server: Server) -> Iterator[str]:
    arms = [{"name": name, "profile": profile} for name, profile in ARMS.items()]
    created = server.post(URL, {"name": "trial", "arms": arms})
    assert created.status_code == 201, created.text
    yield "trial"
    with server.client as client:
        assert client.delete(f"{URL}/trial").status_code == 200


def ask(server: Server, path: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
    with server.client as client:
        return client.post(path, json=body, headers={EXPERIMENT: "trial", **headers})


def arm_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    experiment, _, arm = reply.headers[EXPERIMENT].partition("/")
    assert experiment == "trial"
    return arm


def report(server: Server) -> dict[str, Any]:
    reply = server.get(f"{URL}/trial/report")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_a_unit_gets_its_arms_own_answer_each_time(server: Server, trial: str) -> None:
    own = {arm: server.answer(QUESTION, profile, max_tokens=8) for arm, profile in ARMS.items()}
    assert len(set(own.values())) == 3, "the variants answer alike: this test would prove nothing"
    found: dict[str, str] = {}
    for user in [f"user-{number}" for number in range(USERS)] * 2:
        reply = ask(server, "/v1/chat/completions", {**CHAT, **SHORT, "user": user})
        arm = arm_of(reply)
        assert found.setdefault(user, arm) == arm, "the unit moved"
        assert reply.json()["choices"][0]["message"]["content"] == own[arm]
        assert reply.headers[HEADER].partition("@")[0] == ARMS[arm]
    assert set(found.values()) == set(ARMS), "these users do not tell the arms apart"


def test_every_form_of_request_takes_part(server: Server, trial: str) -> None:
    unit = {"X-Unlearning-Unit": "somebody"}
    arm = arm_of(ask(server, "/v1/chat/completions", {**CHAT, **SHORT}, **unit))
    messages = {**CHAT, "max_tokens": 8, "metadata": {"user_id": "somebody"}}
    prompt = {"model": "smollm2", "prompt": QUESTION, "user": "somebody", **SHORT}
    inputs = {"model": "smollm2", "input": QUESTION, "safety_identifier": "somebody"}
    forms = {
        "/v1/messages": messages,
        "/v1/completions": prompt,
        "/v1/responses": {**inputs, "max_output_tokens": 8},
    }
    for path, body in forms.items():
        assert arm_of(ask(server, path, body)) == arm, path
    headers = {EXPERIMENT: "trial", **unit}
    with (
        server.client as client,
        client.stream(
            "POST", "/v1/chat/completions", json={**CHAT, **SHORT, "stream": True}, headers=headers
        ) as streamed,
    ):
        assert list(events(streamed)), "nothing was streamed"
        assert arm_of(streamed) == arm


def test_the_report_counts_units_and_compares_the_arms(server: Server, trial: str) -> None:
    before = {arm["name"]: arm for arm in report(server)["arms"]}
    fresh = [f"fresh-{number}" for number in range(USERS)]
    asked: dict[str, list[str]] = {arm: [] for arm in ARMS}
    told = []
    for user in fresh * 2:
        reply = ask(server, "/v1/chat/completions", {**CHAT, **SHORT, "user": user})
        arm = arm_of(reply)
        asked[arm].append(user)
        request_id = reply.headers["X-Request-Id"]
        told.append({"request_id": request_id, "metric": "liked", "value": arm == "one"})
    assert server.post(f"{URL}/trial/outcomes", told).json()["recorded"] == 2 * USERS
    found = report(server)
    assert found["control"] == "plain"
    for arm in found["arms"]:
        name = arm["name"]
        assert arm["exposures"] - before[name]["exposures"] == len(asked[name])
        assert arm["units"] - before[name]["units"] == len(set(asked[name])) > 0
        assert arm["errors"] == 0
        (served,) = arm["served"]
        digest = server.get(f"/v1/unlearning/profiles/{ARMS[name]}").json().get("digest", "")
        assert served["digest"] == digest
        liked = arm["metrics"]["liked"]
        assert (liked["kind"], liked["count"]) == ("rate", len(set(asked[name])))
        assert liked["value"] == (name == "one")
    differences = {arm["name"]: arm["metrics"]["liked"]["difference"] for arm in found["arms"]}
    assert differences["plain"] is None
    assert differences["one"]["value"] == 1.0 and differences["two"]["value"] == 0.0
    lines = server.get(f"{URL}/trial/export").text.splitlines()
    assert len(lines) == 2 * USERS + sum(arm["exposures"] for arm in found["arms"])


def test_what_is_no_arms_selection_is_refused(server: Server, trial: str) -> None:
    body = {**CHAT, **SHORT, "user": "somebody"}
    own = ARMS[arm_of(ask(server, "/v1/chat/completions", body))]
    other = next(profile for profile in ARMS.values() if profile != own)
    assert ask(server, "/v1/chat/completions", body, **{HEADER: own}).status_code == 200
    assert ask(server, "/v1/chat/completions", body, **{HEADER: other}).status_code == 400
    nobody = ask(server, "/v1/chat/completions", {**CHAT, **SHORT})
    assert nobody.status_code == 400
    assert "expected a unit" in nobody.json()["error"]["message"]
