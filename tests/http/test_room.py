"""Where requests do not wait for room: of two engines the one that has some serves, or neither."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

from .conftest import OPTIONS, started
from .server import HEADER, QUESTION, Server

RANK = 160
"""0.7 MB in float32: each engine, with room for one, holds one such profile."""

pytestmark = pytest.mark.timeout(600)


def large(base: BaseModel, seed: int) -> bytes:
    factors = torch.randn(2, RANK, base.hidden_size, generator=torch.Generator().manual_seed(seed))
    projector = Projector(Site(10, "mlp"), *(factors * 0.01))
    return artifact.to_bytes(Profile(base, (projector,), "synthetic", {"seed": seed}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("room")
    room = ["--lethe-bank-mb", "1", "--lethe-when-full", "refuse"]
    options = ["--profiles", str(folder / "profiles"), *OPTIONS, *room]
    threads = {"VLLM_CPU_OMP_THREADS_BIND": "0|1"}
    with started(folder, *options, "--data-parallel-size", "2", **threads) as found:
        yield found


def test_a_request_goes_where_there_is_room_and_is_refused_where_there_is_none(
    server: Server, base: BaseModel
) -> None:
    for seed, name in enumerate(["alpha", "beta", "gamma"], 1):
        assert server.put(name, large(base, seed)).status_code == 201
    with ExitStack() as running:
        for name in ("alpha", "beta"):
            running.enter_context(streaming(server, name))
        for stream in (True, False):
            reply = server.chat(QUESTION, "gamma", stream=stream)
            assert reply.status_code == 503, reply.text
            assert "expected room for it on the device" in reply.json()["error"]["message"]
        for name in ("alpha", "beta", "base"):
            assert server.chat(QUESTION, name, max_tokens=2).status_code == 200
    assert server.chat(QUESTION, "gamma", max_tokens=2).status_code == 200


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
