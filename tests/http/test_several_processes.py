"""Several server processes before several engines, on PostgreSQL: all of them agree."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from lethe_projections.base_model import BaseModel
from lethe_server.policy import keys
from tests import postgresql

from .conftest import ENGINE, started
from .metrics import grown, metrics
from .profiles import synthetic
from .server import API_KEY, HEADER, PROFILES, QUESTION, Server

LAYOUT = ("--data-parallel-size", "2", "--api-server-count", "2")
"""Every server process speaks to every engine."""
PROCESSES = ("ApiServer_0", "ApiServer_1", "EngineCore_DP0", "EngineCore_DP1")
ROUNDS = 12
"""Requests of each kind: with fewer, all might land on one process."""

EXPERIMENT = "X-Unlearning-Experiment"
EXPERIMENTS = "/v1/unlearning/experiments"
USERS = 16

RESTRICTED = keys.generate()
POLICY = f"""
version: 1
keys:
  - name: tests
    sha256: {keys.hashed(API_KEY)}
    profiles: "*"
    base: true
    adapters: "*"
    admin: true
  - {{name: restricted, sha256: {keys.hashed(RESTRICTED)}, profiles: [alpha]}}
"""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.path("data parallel"),
    pytest.mark.path("several API server processes"),
]


@pytest.fixture(scope="module")
def database(postgresql_server: str) -> str:
    return postgresql.new_database(postgresql_server, "pair")


@pytest.fixture(scope="module")
def pair(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pair")
    (folder / "policy.yaml").write_text(POLICY)
    profiles = ("--store", database, "--objects", (folder / "objects").as_uri())
    profiles += ("--policy", str(folder / "policy.yaml"), "--shutdown-timeout", "60")
    cores = "|".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    with started(folder, *profiles, *ENGINE, *LAYOUT, VLLM_CPU_OMP_THREADS_BIND=cores) as found:
        yield found


def answers(server: Server, profile: str) -> set[str]:
    """Different answers to one question asked many times at once."""
    with ThreadPoolExecutor(ROUNDS) as pool:
        return set(pool.map(lambda _: server.answer(QUESTION, profile), range(ROUNDS)))


def test_every_process_serves_what_one_was_given(pair: Server, base: BaseModel) -> None:
    for seed, name in enumerate(["alpha", "beta"], 1):
        assert pair.put(name, synthetic(base, seed)).status_code == 201
    found = [answers(pair, name) for name in ("base", "alpha", "beta")]
    assert all(len(one) == 1 for one in found), "processes answer differently"
    assert len(set.union(*found)) == 3, "the variants answer alike: this test would prove nothing"
    log = pair.log.read_text()
    assert all(f"({name} " in log for name in PROCESSES), "this test would prove nothing"


def test_every_process_serves_a_replaced_profile_anew(pair: Server, base: BaseModel) -> None:
    assert pair.put("swap", synthetic(base, 1)).status_code in (200, 201)
    before = answers(pair, "swap")
    assert pair.put("swap", synthetic(base, 2)).status_code in (200, 201)
    after = answers(pair, "swap")
    assert len(before) == len(after) == 1
    assert before != after


def test_no_process_serves_a_deleted_profile(pair: Server, base: BaseModel) -> None:
    assert pair.put("gone", synthetic(base, 1)).status_code in (200, 201)
    answers(pair, "gone")
    assert pair.delete("gone").status_code in (200, 204)
    for _ in range(ROUNDS):
        assert pair.chat(QUESTION, "gone").status_code == 404
        assert pair.get(f"{PROFILES}/gone").status_code == 404


def test_every_process_follows_a_changed_policy_and_none_ends_by_the_signal(
    pair: Server, base: BaseModel
) -> None:
    for seed, name in enumerate(["alpha", "beta"], 1):
        assert pair.put(name, synthetic(base, seed)).status_code in (200, 201)

    def served(_: int) -> tuple[str, int, int]:
        body = {"model": "smollm2", "prompt": "x", "max_tokens": 1}
        headers = {"Authorization": f"Bearer {RESTRICTED}"}
        with httpx.Client(base_url=pair.url, headers=headers, timeout=300) as client:
            default = client.post("/v1/completions", json=body).headers[HEADER].partition("@")[0]
            alpha, beta = (
                client.post("/v1/completions", json=body, headers={HEADER: name}).status_code
                for name in ("alpha", "beta")
            )
        return default, alpha, beta

    def outcomes() -> set[tuple[str, int, int]]:
        with ThreadPoolExecutor(ROUNDS) as pool:
            return set(pool.map(served, range(ROUNDS)))

    policy = pair.log.parent / "policy.yaml"
    assert outcomes() == {("alpha", 200, 403)}
    policy.write_text(POLICY.replace("[alpha]", "[beta]"))
    assert outcomes() == {("beta", 403, 200)}
    os.kill(pair.pid, signal.SIGHUP)
    policy.write_text(POLICY.replace("[alpha]", "[Beta]"))
    assert outcomes() == {("beta", 403, 200)}
    policy.write_text(POLICY)
    assert outcomes() == {("alpha", 200, 403)}


def test_metrics_add_up_over_the_processes(pair: Server, base: BaseModel) -> None:
    assert pair.put("counted", synthetic(base, 5)).status_code == 201
    answers(pair, "counted")
    before = metrics(pair)
    with ThreadPoolExecutor(ROUNDS) as pool:
        replies = list(pool.map(lambda _: pair.chat(QUESTION, "counted").json(), range(ROUNDS)))
    used = [reply["usage"] for reply in replies]
    for _ in range(4):  # whichever process answers
        after = metrics(pair)
        assert grown(before, after, "lethe:requests_total", "counted,2xx") == ROUNDS
        for name, field in (("prompt", "prompt_tokens"), ("generation", "completion_tokens")):
            expected = sum(usage[field] for usage in used)
            assert expected > ROUNDS
            assert grown(before, after, f"lethe:{name}_tokens_total", "counted") == expected
        assert grown(before, after, "lethe:time_to_first_token_seconds_count", "counted") == ROUNDS
        # The prompts came from the cache; what was generated, but for each last token, did not.
        generated = sum(usage["completion_tokens"] for usage in used)
        edited = grown(before, after, "lethe:edited_tokens", "counted")
        assert generated - ROUNDS <= edited <= generated + sum(u["prompt_tokens"] for u in used)
        assert after["lethe:profiles_held", ""] >= 1


def test_what_was_observed_is_written_before_they_end(
    pair: Server, base: BaseModel, database: str
) -> None:
    """Neither process can write any more when both are told to end."""
    assert pair.put("alpha", synthetic(base, 1)).status_code in (200, 201)
    arms = [{"name": "plain", "profile": "base"}, {"name": "treated", "profile": "alpha"}]
    assert pair.post(EXPERIMENTS, {"name": "trial", "arms": arms}).status_code == 201
    users = [f"user-{number}" for number in range(USERS)]

    def arm_of(user: str) -> str:
        body = {"model": "smollm2", "prompt": QUESTION, "max_tokens": 1, "user": user}
        with pair.client as client:
            headers = {EXPERIMENT: "trial"}
            return client.post("/v1/completions", json=body, headers=headers).headers[EXPERIMENT]

    with (
        ThreadPoolExecutor(USERS) as pool,
        psycopg.connect(database.replace("+psycopg", "")) as holder,
    ):
        found = [dict(zip(users, pool.map(arm_of, users), strict=True)) for _ in range(2)]
        assert found[0] == found[1], "processes assign differently"
        assert set(found[0].values()) == {"trial/plain", "trial/treated"}
        assert pair.get(f"{EXPERIMENTS}/trial/report").status_code == 200
        holder.execute("LOCK TABLE lethe_exposures IN SHARE MODE")
        list(pool.map(arm_of, users))
        os.kill(pair.pid, signal.SIGTERM)
        while pair.log.read_text().count("Waiting for application shutdown") < 2:
            time.sleep(0.1)
        assert exposures(holder) < 3 * USERS, "nothing was left: this test would prove nothing"
    os.waitid(os.P_PID, pair.pid, os.WEXITED | os.WNOWAIT)
    with psycopg.connect(database.replace("+psycopg", "")) as reader:
        assert exposures(reader) == 3 * USERS


def exposures(connection: "psycopg.Connection[tuple[int]]") -> int:
    row = connection.execute("SELECT count(*) FROM lethe_exposures").fetchone()
    assert row is not None
    return row[0]
