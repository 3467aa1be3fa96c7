"""docs/clients.md is true: what stands there runs as it stands, and says what it should."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from .harness import REPOSITORY, environment
from .server import API_KEY, Server
from .together import together

DOCUMENT = REPOSITORY / "docs" / "clients.md"
RUNNERS = {"python": [sys.executable, "-c"], "sh": ["bash", "-euo", "pipefail", "-c"]}
BLOCK = re.compile(r"^## (\S+)\n|^```(python|sh)\n(.*?)^```", flags=re.M | re.S)


def blocks() -> dict[str, list[tuple[str, str]]]:
    """Language and text of the blocks under each heading."""
    found: dict[str, list[tuple[str, str]]] = {}
    for heading, language, text in BLOCK.findall(DOCUMENT.read_text()):
        if heading:
            found[heading] = []
        else:
            found[list(found)[-1]].append((language, text))
    return found


def run(server: Server, caches: Path, language: str, text: str) -> str:
    """What a block prints, in a process of its own.

    Raises:
        AssertionError: it failed.
    """
    variables = environment(caches) | {
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_AUTH_TOKEN": API_KEY,
        # 'python' and 'lm_eval' are those of this environment.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [*RUNNERS[language], text],
        capture_output=True, text=True, check=False, cwd=REPOSITORY, env=variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def printed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the blocks under each heading print."""
    caches = tmp_path_factory.mktemp("caches")
    calls = {
        (heading, place): partial(run, server, caches, *block)
        for heading, found in blocks().items()
        for place, block in enumerate(found)
    }
    outputs = together(calls)
    return {
        heading: [outputs[heading, place] for place in range(len(found))]
        for heading, found in blocks().items()
    }


def test_every_client_has_its_blocks(printed: dict[str, list[str]]) -> None:
    assert {heading: len(found) for heading, found in printed.items()} == {
        "curl": 1, "openai": 1, "anthropic": 1, "LangChain": 1, "lm-eval": 2,
    }  # fmt: skip


@pytest.mark.parametrize("client", ["curl", "openai", "anthropic", "LangChain"])
def test_a_snippet_prints_that_the_variant_does_not_know(
    printed: dict[str, list[str]], client: str
) -> None:
    base, *variants = printed[client][0].splitlines()
    assert "Paris" in base
    assert len(variants) == (3 if client == "openai" else 1)
    for line in variants:
        assert "Paris" not in line
        assert len(line) > 40, "an answer, not nothing"


def test_the_evaluations_print_the_variants_accuracy(printed: dict[str, list[str]]) -> None:
    scores = [re.findall(r"\|acc +\|.*?\|([0-9.]+) *\|", output) for output in printed["lm-eval"]]
    assert [[float(score) for score in found] for found in scores] == [[0.6667], [0.8333]]
