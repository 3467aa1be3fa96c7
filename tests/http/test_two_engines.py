"""Two engines of one server: a request goes where there is room, and health sees each one's sites.

Requests do not wait for room here: of two engines the one that has some serves, or neither.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
import torch

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server.recent import FRESH

from ..cores import bound
from .conftest import OPTIONS, started
from .profiles import synthetic
from .server import HEADER, QUESTION, Server

ROOT = Path(__file__).resolve().parents[2]
LAYERS = (10, 20)
"""The blocks that the profile edits."""
ROUNDS = 12

RANK = 160
"""0.7 MB in float32: each engine, with room for one, holds one such profile."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two engines, in which the second's sites can be taken out."""
    folder = tmp_path_factory.mktemp("breakable")
    plugin = folder / "path" / "breakable-0.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: breakable\nVersion: 0\n")
    (plugin / "entry_points.txt").write_text(
        "[vllm.general_plugins]\nbreakable = tests.http.breakable:register\n"
    )
    path = [str(plugin.parent), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "VLLM_PLUGINS": "lethe,breakable",
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": bound(2),
    }
    profiles = ["--profiles", str(folder / "profiles")]
    room = ["--lethe-bank-mb", "1", "--lethe-when-full", "refuse"]
    options = [*profiles, *OPTIONS, *room, "--data-parallel-size", "2"]
    with started(folder, *options, **environment) as found:
        yield found


def large(base: BaseModel, seed: int) -> bytes:
    factors = torch.randn(2, RANK, base.hidden_size, generator=torch.Generator().manual_seed(seed))
    projector = Projector(Site(10, "mlp"), *(factors * 0.01))
    return artifact.to_bytes(Profile(base, (projector,), "synthetic", {"seed": seed}))


def test_a_request_goes_where_there_is_room_and_is_refused_where_there_is_none(
    server: Server, base: BaseModel
) -> None:
    for seed, name in enumerate(["one", "two", "three"], 1):
        assert server.put(name, large(base, seed)).status_code == 201
    with ExitStack() as running:
        for name in ("one", "two"):
            running.enter_context(streaming(server, name))
        for stream in (True, False):
            reply = server.chat(QUESTION, "three", stream=stream)
            assert reply.status_code == 503, reply.text
            assert "expected room for it on the device" in reply.json()["error"]["message"]
        for name in ("one", "two", "base"):
            assert server.chat(QUESTION, name, max_tokens=2).status_code == 200
    assert server.chat(QUESTION, "three", max_tokens=2).status_code == 200


def streaming(server: Server, name: str) -> ExitStack:
    """A long answer of which the first piece has come; given up when the stack closes."""
    stack = ExitStack()
    client = stack.enter_context(server.client)
    body = {"model": "smollm2", "messages": [{"role": "user", "content": QUESTION}]}
    settings = {"max_tokens": 1500, "stream": True, "ignore_eos": True}
    reply = stack.enter_context(
        client.stream("POST", "/v1/chat/completions", json=body | settings, headers={HEADER: name})
    )
    assert reply.status_code == 200
    lines = (line for line in reply.iter_lines() if '"content":' in line)
    next(lines)
    next(lines)
    # Kept until then: a reader that is forgotten hangs up.
    stack.callback(lines.close)
    return stack


def call(server: Server, method: str, *args: int) -> None:
    reply = server.post("/collective_rpc", {"method": method, "args": args})
    assert reply.status_code == 200, reply.text


def health(server: Server) -> httpx.Response:
    """The answer once an earlier one has run out."""
    time.sleep(FRESH)
    return server.get("/health")


def answers(server: Server, profile: str) -> set[str]:
    """Different answers of the two engines."""
    with ThreadPoolExecutor(ROUNDS) as pool:
        return set(pool.map(lambda _: server.answer(QUESTION, profile), range(ROUNDS)))


def test_health_is_red_while_a_site_of_the_second_engine_is_gone(
    server: Server, base: BaseModel
) -> None:
    assert server.put("alpha", synthetic(base, 1)).status_code == 201
    [plain], [edited] = answers(server, "base"), answers(server, "alpha")
    assert plain != edited
    green = health(server)
    assert (green.status_code, green.content) == (200, b"")

    for layer in LAYERS:
        call(server, "break_block", 1, layer)
    assert answers(server, "alpha") == {plain, edited}, "nothing broke: this would prove nothing"
    red = health(server)
    assert red.status_code == 503
    why = "LlamaDecoderLayer.forward has no edit"
    missing = {f"layers.{layer}.block": why for layer in LAYERS}
    assert red.json()["missing"] == {"engine 1, rank 0": missing}
    assert "engine 1, rank 0: layers.10.block" in red.json()["error"]["message"]
    assert server.get("/ping").status_code == 503

    call(server, "repair")
    assert health(server).status_code == 200
    assert answers(server, "alpha") == {edited}


def test_probes_cost_the_engines_little(server: Server) -> None:
    server.answer(QUESTION)
    began = time.monotonic()
    for _ in range(200):
        assert server.get("/health").status_code == 200
    taken = (time.monotonic() - began) / 200
    print(f"{taken * 1000:.1f} ms a probe")
    assert taken < 0.1


def green(server: Server) -> bool:
    try:
        return server.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def test_a_server_whose_engine_died_is_not_green(server: Server) -> None:
    """VLLM ends a server of several engines then."""
    children = psutil.Process(server.pid).children(recursive=True)
    engines = [one for one in children if "EngineCore" in " ".join(one.cmdline())]
    assert len(engines) == 2
    assert green(server)
    engines[1].kill()
    deadline = time.monotonic() + 60
    while green(server) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not green(server)
