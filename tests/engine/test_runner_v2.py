"""vLLM's model runner V2, with the edit's own kernel, under Triton's interpreter on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel

from .oracle import check_outputs, check_unedited
from .variants import contrasting

ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.timeout(900), pytest.mark.path("model runner V2, with the Triton kernel")]


@pytest.fixture(scope="module")
def answers(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Of the base and of every variant, in a process of its own."""
    out = tmp_path_factory.mktemp("v2") / "answers.json"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parent / "interpreter"), os.environ.get("PYTHONPATH", "")]
        ),
        "TRITON_INTERPRET": "1",
        "VLLM_USE_V2_MODEL_RUNNER": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    command = [sys.executable, "-m", "tests.engine.runner_v2", checkpoint, str(out)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    found = json.loads(out.read_text())
    assert found["runner"] == "vllm.v1.worker.cpu.model_runner"
    assert found["backend"] == "TritonBackend"
    return {name: list(map(output, listed)) for name, listed in found["answers"].items()}


def output(document: dict[str, Any]) -> Any:
    """In the shape of vLLM's own."""
    logprobs = [
        {int(token): SimpleNamespace(logprob=value) for token, value in step.items()}
        for step in document["logprobs"]
    ]
    completion = SimpleNamespace(token_ids=document["token_ids"], logprobs=logprobs)
    return SimpleNamespace(prompt_token_ids=document["prompt_token_ids"], outputs=[completion])


def test_every_variant_equals_the_edit_in_transformers(
    answers: dict[str, list[Any]], base: BaseModel, transformers_model: Any
) -> None:
    for name, profile in contrasting(base).items():
        check_outputs(answers[name], profile, transformers_model)


def test_the_base_equals_transformers(
    answers: dict[str, list[Any]], transformers_model: Any
) -> None:
    check_unedited(answers["base"], transformers_model)
