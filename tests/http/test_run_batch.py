"""vLLM's offline batches (`run-batch`): a line names its variant, or it is the base's.

There is no HTTP there, so a line selects as an offline request does, by a sampling argument.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import embedded

from .conftest import alone
from .server import QUESTION, Server

pytestmark = pytest.mark.timeout(600)


def line(name: str, **more: Any) -> str:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": QUESTION}]}
    settings = {"temperature": 0, "max_tokens": 16}
    request = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps({**request, "body": {**body, **settings, **more}})


@pytest.fixture(scope="module")
def done(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By line, what the batch answered; an engine of its own, over the server's profiles."""
    folder = tmp_path_factory.mktemp("batch")
    asked, answered = folder / "in.jsonl", folder / "out.jsonl"
    lines = [
        line("base"),
        *(line(name, vllm_xargs={"unlearning_profile": name}) for name in ("france", "alpha")),
        line("by model name", model="smollm2:france"),
        line("nobody", vllm_xargs={"unlearning_profile": "nobody"}),
    ]
    asked.write_text("\n".join(lines))
    with alone(folder.parents[1] / "several-engines.lock"):
        run = batch(asked, answered, server.log.parent / "profiles")
    assert run.returncode == 0, run.stderr[-3000:]
    found = map(json.loads, answered.read_text().splitlines())
    return {one["custom_id"]: one for one in found}


def batch(asked: Path, answered: Path, profiles: Path) -> "subprocess.CompletedProcess[str]":
    lethe = {"lethe": {"profiles": str(profiles), "sites": "block,mlp,down_proj"}}
    return subprocess.run(
        [sys.executable, "-m", "vllm.entrypoints.launchers.run_batch",
         "-i", str(asked), "-o", str(answered),
         "--model", str(embedded.prepare()), "--served-model-name", "smollm2",
         "--additional-config", json.dumps(lethe), "--enforce-eager", "--dtype", "float32",
         "--max-model-len", "2048", "--kv-cache-memory-bytes", "512M"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("profile", ["base", "france", "alpha"])
def test_a_line_is_answered_as_the_server_answers(
    server: Server, done: dict[str, Any], profile: str
) -> None:
    choice = done[profile]["response"]["body"]["choices"][0]
    assert choice["message"]["content"] == server.answer(QUESTION, profile, max_tokens=16)


def test_the_lines_are_of_different_variants(done: dict[str, Any]) -> None:
    bodies = [done[name]["response"]["body"] for name in ("base", "france", "alpha")]
    assert len({body["choices"][0]["message"]["content"] for body in bodies}) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [("by model name", "smollm2:france"), ("nobody", "france, found 'nobody'; PUT it first")],
)
def test_a_line_that_cannot_have_its_variant_is_an_error_that_says_why(
    done: dict[str, Any], name: str, said: str
) -> None:
    assert said in done[name]["error"]["error"]["message"]
    assert done[name]["response"]["status_code"] == 404
    assert done[name]["response"]["body"] is None
