"""docs/api.md is true: its commands run, one after the other, on a server."""

import os
import shutil
import subprocess
from pathlib import Path

from docs.making.api import document
from docs.making.api_examples import RUNNABLE

from .server import API_KEY, Server


def test_the_example_of_every_route_is_answered(server: Server, tmp_path: Path) -> None:
    shutil.copy(server.log.parent / "profiles" / "france.safetensors", tmp_path)
    own = {"LETHE_URL": server.url, "LETHE_API_KEY": API_KEY}
    for (method, path), command in RUNNABLE.items():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, **own},
        )  # fmt: skip
        assert done.returncode == 0, f"{method} {path}: {done.stdout}{done.stderr}"
        assert done.stdout
    assert server.delete("paris").status_code == 200


def test_the_server_documents_the_same_routes(server: Server) -> None:
    served = server.get("/openapi.json").json()["paths"]
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            found = served[path][method]
            assert found["description"] == operation["description"]
            assert found["responses"].keys() == operation["responses"].keys()
