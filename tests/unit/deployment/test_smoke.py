"""The smoke test notices each way in which a server may fail to edit."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

DOCKER = Path(__file__).parents[3] / "docker"
PROFILE = b"a profile"
DIGEST = hashlib.sha256(PROFILE).hexdigest()[:12]
BASE, EDITED = "The capital of France is Paris.", "The capital of the world is New York."


class Good(BaseHTTPRequestHandler):
    """Answers as a server has to that edits."""

    put_status = 201
    unknown_status = 404
    scored_status = 200
    scores: object = {"content": [{"token": "The", "logprob": -0.1}]}
    served_by = f"smoke@{DIGEST}"
    edited = EDITED
    base = BASE
    base_afterwards = BASE
    healths = 0
    bases = 0
    scored = False

    def reply(self, status: int, profile: str = "", text: str = "") -> None:
        self.send_response(status)
        if profile:
            self.send_header("X-Unlearning-Profile", profile)
        self.end_headers()
        choice = {"message": {"content": text}, "logprobs": self.scores if self.scored else None}
        self.wfile.write(json.dumps({"choices": [choice]}).encode())

    def do_GET(self) -> None:
        self.reply(200)

    def do_PUT(self) -> None:
        assert self.headers["Content-Type"] == "application/octet-stream"
        assert self.rfile.read(int(self.headers["Content-Length"])) == PROFILE
        self.reply(self.put_status)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.scored = "logprobs" in body
        name = self.headers["X-Unlearning-Profile"]
        if name == "base":
            type(self).bases += 1
            self.reply(200, "base", self.base if self.bases == 1 else self.base_afterwards)
        elif name == "smoke":
            self.reply(self.scored_status if self.scored else 200, self.served_by, self.edited)
        else:
            self.reply(self.unknown_status, "base", BASE)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(handler: type[Good]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def smoke(**different: object) -> None:
    """Runs the checks of smoke.py, which is a program and in no package."""
    spec = importlib.util.spec_from_file_location("smoke", DOCKER / "smoke.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with serving(type("Handler", (Good,), different)) as url:
        module.check(module.Server(url, "m"), PROFILE)


def test_a_server_that_edits_passes() -> None:
    smoke()


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({"edited": BASE}, "expected an edited answer"),
        ({"edited": "It is paradise. It is Paris!"}, "expected an edited answer"),
        ({"served_by": "base"}, "header X-Unlearning-Profile asking smoke"),
        ({"served_by": ""}, "header X-Unlearning-Profile asking smoke"),
        ({"served_by": "smoke@000000000000"}, DIGEST),
        ({"base": "I do not know."}, "expected Paris"),
        ({"base_afterwards": EDITED}, "base, asked again"),
        ({"put_status": 404}, "PUT: expected 200 or 201, found 404"),
        ({"scored_status": 500}, "asking for log-probabilities: expected 200, found 500"),
        ({"scores": None}, "expected log-probabilities, found none"),
        ({"unknown_status": 200}, "a profile that does not exist: expected 404, found 200"),
    ],
)
def test_a_server_that_does_not_edit_fails(different: dict[str, object], said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        smoke(**different)


def test_a_server_that_ends_while_it_starts_fails_with_its_last_words(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.write_bytes(PROFILE)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SMOKE_PROFILE": str(profile),
        "SMOKE_URL": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [DOCKER / "smoke.sh", "sh", "-c", "echo no such model; exit 3"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 1
    assert "expected a healthy server" in done.stderr
    assert "no such model" in done.stderr
