"""Two server processes agree on an experiment, and what they observed outlives them."""

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from lethe_projections.base_model import BaseModel
from lethe_server.experiments.database import open_engine
from lethe_server.experiments.laboratory import Laboratory

from .conftest import OPTIONS, started
from .profiles import synthetic
from .server import QUESTION, Server

URL = "/v1/unlearning/experiments"
USERS = [f"user-{number}" for number in range(8)]
HELD_SECONDS = 3

pytestmark = pytest.mark.timeout(600)


def arm_of(server: Server, user: str) -> str:
    """Asked on a connection of its own, so that either process may answer."""
    body = {"model": "smollm2", "prompt": QUESTION, "max_tokens": 1, "user": user}
    with server.client as client:
        reply = client.post(
            "/v1/completions", json=body, headers={"X-Unlearning-Experiment": "trial"}
        )
    assert reply.status_code == 200, reply.text
    return reply.headers["X-Unlearning-Experiment"]


def test_processes_agree_and_what_is_not_yet_written_when_they_stop_is_written(
    base: BaseModel, tmp_path: Path
) -> None:
    folder = tmp_path / "server" / "two"
    profiles = folder / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "alpha.safetensors").write_bytes(synthetic(base, 1))
    options = ("--profiles", str(profiles), *OPTIONS, "--api-server-count", "2")
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    with started(folder, *options, VLLM_CPU_OMP_THREADS_BIND=cores) as server:
        arms = [{"name": "plain", "profile": "base"}, {"name": "treated", "profile": "alpha"}]
        assert server.post(URL, {"name": "trial", "arms": arms}).status_code == 201
        found = [{user: arm_of(server, user) for user in USERS} for _ in range(4)]
        assert all(one == found[0] for one in found), "processes assign differently"
        assert set(found[0].values()) == {"trial/plain", "trial/treated"}
        log = server.log.read_text()
        assert "(ApiServer_0 " in log and "(ApiServer_1 " in log, "this test would prove nothing"
        # Neither can write from here on; then both are told to stop.
        holder = sqlite3.connect(profiles / "lethe.db", check_same_thread=False)
        holder.isolation_level = None
        holder.execute("BEGIN IMMEDIATE")
        for user in USERS:
            arm_of(server, user)
        recorded = count(profiles)
        threading.Timer(HELD_SECONDS, holder.close).start()
        stopping = time.monotonic()
    assert time.monotonic() - stopping >= HELD_SECONDS, "it did not wait to write"
    assert recorded == 4 * len(USERS)
    assert count(profiles) == 5 * len(USERS)
    laboratory = Laboratory.open(open_engine(f"sqlite:///{profiles / 'lethe.db'}"))
    kept = laboratory.registry.get("trial")
    assert kept.status == "running"
    assert sum(laboratory.records.units(kept).values()) == len(USERS)
    laboratory.close()


def count(profiles: Path) -> int:
    with closing(sqlite3.connect(f"file:{profiles / 'lethe.db'}?mode=ro", uri=True)) as reader:
        (found,) = reader.execute("SELECT count(*) FROM exposures").fetchone()
    return int(found)
