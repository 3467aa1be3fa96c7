"""docker/smoke.sh on this environment's own server: it passes, but not with an empty edit."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lethe_projections import artifact

from .conftest import ENGINE, free_port
from .profiles import fitted
from .server import API_KEY, PROFILES, Server

DOCKER = Path(__file__).parents[2] / "docker"
SERVE = (sys.executable, "-m", "lethe_server", "serve", "embedded", *ENGINE)


@pytest.fixture(scope="module")
def france(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smoke")
    file = folder / "profile"
    file.write_bytes(fitted(folder))
    return file


@pytest.fixture
def left_alone(server: Server) -> Iterator[Server]:
    yield server
    server.delete("smoke")


@pytest.mark.usefixtures("an_engine_more")
def test_it_passes_where_a_variant_is_edited_and_stops_what_it_started(france: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SMOKE_PROFILE": str(france),
        "SMOKE_URL": f"http://127.0.0.1:{port}",
    }
    done = subprocess.run(
        [DOCKER / "smoke.sh", *SERVE, "--port", str(port)],
        capture_output=True, text=True, check=False, env=environment, process_group=0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_it_fails_where_the_edit_changes_nothing(
    france: Path, left_alone: Server, tmp_path: Path
) -> None:
    profile = artifact.read(france)
    empty = [replace(one, B=torch.zeros_like(one.B)) for one in profile.projectors]
    artifact.write(replace(profile, projectors=tuple(empty)), tmp_path / "nothing")
    command = (DOCKER / "smoke.py", left_alone.url, "smollm2", tmp_path / "nothing")
    done = subprocess.run(
        [sys.executable, *command, str(left_alone.pid), "10"],
        capture_output=True, text=True, check=False, env={**os.environ, "SMOKE_API_KEY": API_KEY},
    )  # fmt: skip
    assert left_alone.get(f"{PROFILES}/smoke").status_code == 200
    assert done.returncode == 1
    assert "expected an edited answer" in done.stderr
