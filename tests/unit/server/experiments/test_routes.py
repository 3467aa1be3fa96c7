"""Experiments through the application: who gets which arm, what is recorded, what is refused."""

import asyncio
import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from lethe_projections import artifact
from lethe_server.experiments.assignment import arm_of
from lethe_server.experiments.experiment import Exposure
from lethe_server.experiments.taking_part import Joining
from lethe_server.experiments.writing import Writer

from ..fakes import Server, make

CHAT = "/v1/chat/completions"
URL = "/v1/unlearning/experiments"
FRANCE = make(1)
DIGEST = artifact.digest(FRANCE)
ARMS = [{"name": "plain", "profile": "base"}, {"name": "treated", "profile": "france"}]
USERS = [f"user-{number}" for number in range(30)]


@pytest.fixture
def server(server: Server) -> Server:
    server.serving.catalogue.put("france", FRANCE)
    created = server.post(URL, json={"name": "trial", "arms": ARMS})
    assert created.status_code == 201, created.text
    return server


def ask(
    server: Server, unit: str | None = None, body: dict[str, Any] | None = None, **headers: str
) -> httpx.Response:
    sent = {"X-Unlearning-Experiment": "trial", **headers}
    if unit is not None:
        sent["X-Unlearning-Unit"] = unit
    encoded = {name: value.encode() for name, value in sent.items()}
    return server.post(CHAT, json={"model": "smollm2", **(body or {})}, headers=encoded)


def users_by_arm(server: Server) -> dict[str, list[str]]:
    trial = server.serving.laboratory.registry.get("trial")
    found: dict[str, list[str]] = {"plain": [], "treated": []}
    for user in USERS:
        found[arm_of(trial, user).name].append(user)
    return found


def test_each_unit_gets_its_arm_and_the_response_says_so(server: Server) -> None:
    for arm, users in users_by_arm(server).items():
        assert users, "these users do not tell the arms apart"
        for user in users * 2:
            reply = ask(server, user)
            assert reply.json()["served_by"] == {"plain": "base", "treated": "france"}[arm]
            assert reply.headers["X-Unlearning-Experiment"] == f"trial/{arm}"
            named = {"plain": "base", "treated": f"france@{DIGEST[:12]}"}[arm]
            assert reply.headers["X-Unlearning-Profile"] == named


@pytest.mark.parametrize(
    "body",
    [
        {"user": "Jørgen"},
        {"safety_identifier": "Jørgen"},
        {"metadata": {"user_id": "Jørgen"}},
        {"user": "Jørgen", "safety_identifier": "someone else"},
        {"user": None, "safety_identifier": "", "metadata": {"user_id": "Jørgen"}},
    ],
)
def test_the_body_names_the_unit_as_the_header_would(server: Server, body: dict[str, Any]) -> None:
    ask(server, body=body)
    ask(server, unit="Jørgen", body={"user": "the header comes first"})
    assert sum(arm["units"] for arm in report(server)["arms"]) == 1
    ask(server, unit="another")
    assert sum(arm["units"] for arm in report(server)["arms"]) == 2


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, {}, 400),
        ({}, {"user": 7}, 400),
        ({"X-Unlearning-Unit": ""}, {}, 400),
        ({"X-Unlearning-Unit": "x" * 513}, {}, 400),
        ({}, {"user": "\ud800"}, 400),
        ({"X-Unlearning-Experiment": "nobody", "X-Unlearning-Unit": "u"}, {}, 404),
        ({"X-Unlearning-Profile": "spain", "X-Unlearning-Unit": "u"}, {}, 400),
        ({"X-Unlearning-Unit": "u"}, {"model": "smollm2:spain"}, 400),
    ],
)
def test_a_request_that_cannot_take_part_is_refused(
    server: Server, headers: dict[str, str], body: dict[str, Any], status: int
) -> None:
    sent = {"X-Unlearning-Experiment": "trial", "content-type": "application/json", **headers}
    content = json.dumps({"model": "smollm2", **body})
    reply = server.post(CHAT, content=content, headers=sent)
    assert reply.status_code == status, reply.text
    assert "expected" in reply.json()["error"]["message"]
    assert not server.serving.answered, "something was generated"


def test_a_selection_that_is_the_arms_own_passes_and_another_is_refused(server: Server) -> None:
    treated, plain = users_by_arm(server)["treated"][0], users_by_arm(server)["plain"][0]
    own = {"X-Unlearning-Profile": f"france@{DIGEST}"}
    assert ask(server, treated, **own).json()["served_by"] == "france"
    assert ask(server, treated, {"model": "smollm2:france"}).json()["served_by"] == "france"
    for reply in (ask(server, plain, **own), ask(server, plain, {"model": "smollm2:france"})):
        assert reply.status_code == 400
        assert "arm plain (base)" in reply.json()["error"]["message"]


def test_a_stopped_experiment_serves_nobody_and_still_reports(server: Server) -> None:
    ask(server, "u")
    assert server.post(f"{URL}/trial/stop").json()["status"] == "stopped"
    assert ask(server, "u").status_code == 409
    assert report(server)["status"] == "stopped"
    assert sum(arm["exposures"] for arm in report(server)["arms"]) == 1
    assert outcomes(server, [{"unit": "u", "metric": "liked", "value": True}]).status_code == 200


def test_the_header_is_refused_where_it_has_no_meaning(server: Server) -> None:
    headers = {"X-Unlearning-Experiment": "trial", "X-Unlearning-Unit": "u"}
    for path in ("/v1/unlearning/compare", "/v1/unlearning/profiles", URL):
        reply = server.post(path, json={}, headers=headers)
        assert reply.status_code == 400, path
        assert "expected none" in reply.json()["error"]["message"]


def outcomes(server: Server, told: list[dict[str, Any]]) -> httpx.Response:
    return server.post(f"{URL}/trial/outcomes", json=told)


def report(server: Server) -> dict[str, Any]:
    reply = server.request("GET", f"{URL}/trial/report")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_the_report_has_what_was_observed(server: Server) -> None:
    arms = users_by_arm(server)
    for user in USERS:
        ask(server, user)
    server.engine.refused.add(DIGEST)
    server.serving.front_end.resident.clear()
    assert ask(server, arms["treated"][0]).status_code == 503
    told = [{"unit": user, "metric": "liked", "value": True} for user in arms["treated"]]
    told += [{"unit": user, "metric": "liked", "value": False} for user in arms["plain"]]
    told += [{"unit": "stranger", "metric": "liked", "value": True}]
    assert outcomes(server, told).json()["recorded"] == len(USERS) + 1
    found = report(server)
    plain, treated = found["arms"]
    assert (plain["units"], plain["exposures"], plain["errors"]) == (len(arms["plain"]),) * 2 + (0,)
    count = len(arms["treated"])
    assert (treated["units"], treated["exposures"], treated["errors"]) == (count, count + 1, 1)
    assert {one["digest"]: one["exposures"] for one in treated["served"]} == {DIGEST: count, "": 1}
    liked = treated["metrics"]["liked"]
    assert (liked["kind"], liked["count"], liked["value"]) == ("rate", count, 1.0)
    assert liked["difference"]["value"] == 1.0
    assert liked["difference"]["interval"][0] > 0
    assert liked["difference"]["p_value"] < 0.01
    assert plain["metrics"]["liked"]["difference"] is None
    assert found["unexposed_outcomes"] == 1
    assert found["sample_ratio"]["mismatch"] is False
    assert (found["control"], found["analysed_by"], found["lost_exposures"]) == ("plain", "unit", 0)


def test_an_answers_request_id_names_its_unit_in_an_outcome(server: Server) -> None:
    own = ask(server, "u", **{"X-Request-Id": "mine"}).headers["X-Request-Id"]
    made_up = ask(server, "u").headers["X-Request-Id"]
    assert own == "mine" != made_up
    told = [
        {"request_id": own, "metric": "stars", "value": 1},
        {"request_id": made_up, "metric": "stars", "value": 4},
        {"unit": "u", "metric": "stars", "value": 4.0, "id": "once"},
    ]
    assert outcomes(server, told).json()["recorded"] == 3
    assert outcomes(server, told[2:]).json() == {
        "object": "unlearning.experiment.outcomes",
        "recorded": 0,
        "repeated": 1,
    }
    (metric,) = [arm["metrics"]["stars"] for arm in report(server)["arms"] if arm["units"]]
    assert (metric["kind"], metric["count"], metric["value"]) == ("mean", 1, 3.0)
    refused = outcomes(server, [told[0], {**told[0], "request_id": "nobodys"}])
    assert refused.status_code == 404
    assert "nobodys" in refused.json()["error"]["message"]


def test_a_request_is_recorded_once_however_often_it_is_sent(server: Server) -> None:
    for _ in range(3):
        ask(server, "u", **{"X-Request-Id": "same"})
    assert sum(arm["exposures"] for arm in report(server)["arms"]) == 1
    ask(server, "u", **{"X-Request-Id": "other"})
    assert sum(arm["exposures"] for arm in report(server)["arms"]) == 2


def test_a_client_that_leaves_before_the_answer_is_recorded_as_such(server: Server) -> None:
    laboratory = server.serving.laboratory
    trial = laboratory.registry.get("trial")

    async def leave() -> None:
        scope = {"type": "http", "method": "POST", "headers": []}
        part = await laboratory.part(
            Joining("trial", "u"), None, scope, lambda experiment, arm: None
        )
        with part:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave())
    assert laboratory.writer.flush()
    assert [row["status"] for row in laboratory.records.export(trial)] == [499]


@pytest.mark.parametrize(
    "told",
    [
        [],
        [{"metric": "liked", "value": True}],
        [{"unit": "u", "request_id": "r", "metric": "liked", "value": True}],
        [{"unit": "u", "metric": "Liked!", "value": True}],
        [{"unit": "u", "metric": "liked", "value": "yes"}],
        [{"unit": "u", "metric": "liked", "value": 1e300}],
        [{"unit": "", "metric": "liked", "value": True}],
        [{"unit": "u", "metric": "liked", "value": True, "id": "a\u0000b"}],
        [{"unit": "u", "metric": "liked", "value": True, "arm": "plain"}],
    ],
)
def test_an_outcome_that_is_none_is_refused_and_nothing_recorded(
    server: Server, told: list[dict[str, Any]]
) -> None:
    ask(server, "v")
    good = {"unit": "v", "metric": "liked", "value": True}
    # vLLM's own application turns the 422 of FastAPI into its 400.
    assert outcomes(server, [good, *told] if told else told).status_code in (400, 422)
    assert not any(arm["metrics"] for arm in report(server)["arms"])


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"arms": [ARMS[0], {"name": "gone", "profile": "spain"}]}, 404),
        ({"arms": [ARMS[0], {"name": "gone", "profile": "france@00000000"}]}, 404),
        ({"arms": [ARMS[0], {"name": "gone", "profile": "France"}]}, 400),
        ({"arms": [ARMS[0], ARMS[0]]}, 400),
        ({"arms": ARMS[:1]}, 422),
        ({"arms": ARMS, "control": "nobody"}, 400),
        ({"arms": ARMS, "name": "No"}, 400),
        ({"arms": ARMS, "salt": "mine"}, 422),
        ({"arms": [ARMS[0], {**ARMS[1], "weight": 0}]}, 400),
    ],
)
def test_an_experiment_that_cannot_be_is_not_created(
    server: Server, wanted: dict[str, Any], status: int
) -> None:
    reply = server.post(URL, json={"name": "new", **wanted})
    assert reply.status_code == status, reply.text
    listed = server.request("GET", URL).json()["data"]
    assert [one["id"] for one in listed] == ["trial"]


def test_the_same_experiment_again_is_found_and_another_is_a_conflict(server: Server) -> None:
    again = server.post(URL, json={"name": "trial", "arms": ARMS, "control": "plain"})
    assert again.status_code == 200
    assert again.json() == server.request("GET", f"{URL}/trial").json()
    for other in ({"arms": ARMS[::-1]}, {"arms": ARMS, "control": "treated"}):
        assert server.post(URL, json={"name": "trial", **other}).status_code == 409
    assert server.request("GET", f"{URL}/trial").json() == again.json()


def test_a_deleted_experiment_is_unknown(server: Server) -> None:
    ask(server, "u")
    assert server.request("DELETE", f"{URL}/trial").json()["deleted"] is True
    assert ask(server, "u").status_code == 404
    for path in ("", "/report", "/export"):
        assert server.request("GET", f"{URL}/trial{path}").status_code == 404
    assert server.request("DELETE", f"{URL}/trial").status_code == 404


def test_an_export_is_the_same_in_both_forms(server: Server) -> None:
    request_id = ask(server, "u").headers["X-Request-Id"]
    outcomes(server, [{"unit": "u", "metric": "liked", "value": True, "id": "one"}])
    lines = server.request("GET", f"{URL}/trial/export")
    assert lines.headers["content-type"] == "application/jsonl"
    exposed, told = map(json.loads, lines.text.splitlines())
    assert (exposed["record"], exposed["request_id"], exposed["status"]) == (
        *("exposure", request_id),
        200,
    )
    assert (told["record"], told["id"], told["metric"], told["value"]) == (
        *("outcome", "one", "liked"),
        True,
    )
    assert exposed["unit"] == told["unit"] != "u"
    by_accept = server.request("GET", f"{URL}/trial/export", headers={"accept": "text/csv"})
    by_name = server.request("GET", f"{URL}/trial/export?format=csv")
    assert by_accept.text == by_name.text
    rows = list(csv.DictReader(io.StringIO(by_name.text)))
    for row, line in zip(rows, (exposed, told), strict=True):
        filled = {name: value for name, value in row.items() if value != ""}
        shown = {name: json.dumps(v) if v is True else str(v) for name, v in line.items()}
        assert filled == {name: value for name, value in shown.items() if value != ""}


def test_what_was_observed_is_written_when_the_application_ends(server: Server) -> None:
    laboratory = server.serving.laboratory
    trial = laboratory.registry.get("trial")
    written: list[str] = []

    def slowly(rows: Sequence[Exposure], lost: Mapping[str, int]) -> None:
        time.sleep(0.3)
        laboratory.records.add_exposures(rows, lost)

    laboratory.writer = Writer(slowly)

    async def serve(app: FastAPI) -> None:
        async with app.router.lifespan_context(app), server.client() as client:
            headers = {"X-Unlearning-Experiment": "trial"}
            for user in USERS:
                await client.post(CHAT, json={"user": user}, headers=headers)
            assert not list(laboratory.records.export(trial)), "they were written already"
        written.extend(str(row["request_id"]) for row in laboratory.records.export(trial))

    asyncio.run(serve(server.app))
    assert len(written) == len(USERS)
