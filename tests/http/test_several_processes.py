"""Several engines behind one server, and several servers before one engine, agree on profiles."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lethe_projections.base_model import BaseModel

from .conftest import OPTIONS, started
from .profiles import synthetic
from .server import PROFILES, QUESTION, Server

LAYOUTS = {
    "data parallel": (
        ["--data-parallel-size", "2"],
        {"VLLM_CPU_OMP_THREADS_BIND": "0|1"},
    ),
    "several API server processes": (["--api-server-count", "2"], {}),
}
ROUNDS = 12
"""Requests of each kind: with fewer, all might land on one process."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.path(name)) for name in LAYOUTS],
)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    options, environment = LAYOUTS[request.param]
    folder = tmp_path_factory.mktemp("pair")
    profiles = ["--profiles", str(folder / "profiles")]
    with started(folder, *profiles, *OPTIONS, *options, **environment) as found:
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
