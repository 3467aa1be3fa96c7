"""Several server processes before several engines: all agree on profiles."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lethe_projections.base_model import BaseModel

from .conftest import OPTIONS, started
from .profiles import synthetic
from .server import PROFILES, QUESTION, Server

LAYOUT = ("--data-parallel-size", "2", "--api-server-count", "2")
"""Every server process speaks to every engine."""
PROCESSES = ("ApiServer_0", "ApiServer_1", "EngineCore_DP0", "EngineCore_DP1")
ROUNDS = 12
"""Requests of each kind: with fewer, all might land on one process."""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.path("data parallel"),
    pytest.mark.path("several API server processes"),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pair")
    profiles = ("--profiles", str(folder / "profiles"))
    cores = "|".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    with started(folder, *profiles, *OPTIONS, *LAYOUT, VLLM_CPU_OMP_THREADS_BIND=cores) as found:
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
