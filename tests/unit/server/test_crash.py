"""A server killed at any moment of a PUT, a rollback or a DELETE: nothing is lost or half there.

The server's own application writes, behind uvicorn in a process of its own, before a fake engine;
it is killed with SIGKILL while a client changes names without pause.
"""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from lethe_projections import artifact
from lethe_server.entry import LetheEndpoints
from lethe_server.health import Health
from lethe_server.serving import Serving
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.frontend import FrontEnd

from .fakes import ABSENT, BASE, SITES, Engine, make

KILLS = 50
NAMES = ("france", "japan", "peru")
PROFILES = {artifact.digest(data): data for data in map(make, range(4))}

Meanings = dict[str, set[str | None]]
"""By name, the digests that it may have: what was last answered, and what was under way."""


def serve(folder: Path, socket: str) -> None:
    """What the child process does until it is killed."""
    engine = Engine()
    front_end = FrontEnd(Catalogue(folder, BASE))
    front_end.reached = True
    health = Health(lambda: engine.everyone("lethe_check"))
    app = FastAPI()
    app.state.lethe = Serving(
        front_end, engine.collective_rpc, engine.everyone, health, ("smollm2",), {}, SITES, ABSENT
    )
    LetheEndpoints().attach_router(app)
    uvicorn.run(app, uds=socket, log_level="critical")


@contextmanager
def running(folder: Path, socket: str) -> Iterator[tuple[BaseProcess, httpx.Client]]:
    """A server and a client of it; killed at the end at the latest."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=serve, args=(folder, socket))
    process.start()
    transport = httpx.HTTPTransport(uds=socket)
    with httpx.Client(transport=transport, base_url="http://test", timeout=30) as client:
        try:
            yield process, client
        finally:
            process.kill()
            process.join()


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            client.get("/v1/unlearning/profiles")
        except httpx.TransportError:
            time.sleep(0.01)
        else:
            return
    pytest.fail("the server did not start")


def change(client: httpx.Client, chance: random.Random, name: str, may_be: Meanings) -> None:
    """One change of a name, noted before it is sent and after it is answered."""
    before = may_be[name]
    kind = chance.choice(["put", "put", "rollback", "delete"])
    url = f"/v1/unlearning/profiles/{name}"
    if kind == "put":
        digest = chance.choice(list(PROFILES))
        may_be[name] = {*before, digest}
        assert client.put(url, content=PROFILES[digest]).status_code in (200, 201)
        may_be[name] = {digest}
    elif kind == "delete":
        may_be[name] = {*before, None}
        assert client.delete(url).status_code in (200, 404)
        may_be[name] = {None}
    else:
        # To what it was before: some profile of its history, which only the answer names.
        may_be[name] = {*before, *PROFILES}
        reply = client.post(f"{url}/rollback")
        assert reply.status_code in (200, 404), reply.text
        may_be[name] = {reply.json()["digest"]} if reply.status_code == 200 else before


def change_until_killed(client: httpx.Client, seed: str, name: str, may_be: Meanings) -> None:
    chance = random.Random(seed)
    try:
        while True:
            change(client, chance, name, may_be)
    except httpx.TransportError:
        return


def check(folder: Path, may_be: Meanings) -> None:
    """What a server that starts now finds is whole, and what it may be."""
    catalogue = Catalogue(folder, BASE)
    for name in NAMES:
        named = catalogue.names.find(name)
        assert (named.digest if named else None) in may_be[name]
        if named is not None:
            entry = catalogue.entry(name)
            assert catalogue.data(entry.variant) == PROFILES[entry.digest]
        history = catalogue.names.history(name)
        assert [one.version for one in history] == list(range(len(history), 0, -1))
        assert (history[0].digest if history else None) == (named.digest if named else None)
        for one in history:
            assert one.digest is None or catalogue.objects.get(one.digest) == PROFILES[one.digest]
        may_be[name] = {named.digest if named else None}


@pytest.mark.timeout(300)
def test_a_server_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    folder, chance = tmp_path / "profiles", random.Random(0)
    may_be: Meanings = {name: {None} for name in NAMES}
    for kill in range(KILLS):
        socket = f"/tmp/lethe-{os.getpid()}-{kill}.sock"
        with running(folder, socket) as (process, client):
            wait_for(client)
            threads = [
                threading.Thread(
                    target=change_until_killed, args=(client, f"{kill}{name}", name, may_be)
                )
                for name in NAMES
            ]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.01, 0.25))
            os.kill(process.pid or 0, signal.SIGKILL)
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive()
        Path(socket).unlink(missing_ok=True)
        check(folder, may_be)
    catalogue = Catalogue(folder, BASE)
    versions = sum(len(catalogue.names.history(name)) for name in NAMES)
    actions = {one.action for name in NAMES for one in catalogue.names.history(name)}
    print(f"{versions} changes survived {KILLS} kills")
    assert versions > 2 * KILLS, "hardly anything changed: this would prove nothing"
    assert actions == {"put", "rollback", "delete"}
