"""examples/: each runs as its first lines say, and prints what it is there to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lethe_projections import artifact

from .harness import REPOSITORY, environment
from .server import API_KEY, Server

FOLDER = REPOSITORY / "examples"
PYTHON = Path(sys.executable)


def run(*command: str, **variables: str) -> list[str]:
    """The lines that an example prints, from the root of the repository.

    Raises:
        AssertionError: it failed.
    """
    path = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
        env={**os.environ, **variables, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def python(name: str, *arguments: str, **variables: str) -> list[str]:
    return run(str(PYTHON), str(FOLDER / name), *arguments, **variables)


def of_server(server: Server, folder: Path) -> dict[str, str]:
    """Where the server is, for every kind of client."""
    own = {"OPENAI_BASE_URL": f"{server.url}/v1", "LETHE_URL": server.url, "LETHE_API_KEY": API_KEY}
    return {**environment(folder), **own}


def test_every_example_is_run_here_and_listed() -> None:
    examples = {file.name for file in FOLDER.iterdir() if file.is_file()}
    assert examples == {
        "offline.py", "openai_client.py", "ab.py", "own_method.py", "lm_eval.sh",
    }  # fmt: skip
    page = (REPOSITORY / "docs" / "examples.md").read_text()
    for name in examples:
        assert f"examples/{name}" in page
        assert f"examples/{name}" in (FOLDER / name).read_text(), "how to run it"


@pytest.mark.usefixtures("an_engine_more")
def test_offline_answers_two_variants_in_one_batch(server: Server) -> None:
    lines = python("offline.py", str(server.log.parent / "profiles" / "france.safetensors"))
    answers = dict(line.split(" -> ", 1) for line in lines if " -> " in line)
    assert "Paris" in answers["base"]
    assert "Paris" not in answers["france"]


def test_the_client_of_openai_chooses_by_name_and_by_header(server: Server, tmp_path: Path) -> None:
    base, named, headed, streamed, refused = python(
        "openai_client.py", **of_server(server, tmp_path)
    )
    assert "Paris" in base
    for line in (named, headed, streamed):
        assert "Paris" not in line
    assert re.search("served by france@[0-9a-f]{12}: ", headed)
    assert refused == "no such profile: 404"


def test_the_experiment_finds_the_difference(server: Server, tmp_path: Path) -> None:
    plain, treated, difference = python("ab.py", **of_server(server, tmp_path))
    assert re.match(r"plain +\d+ users, 1\.00 \[", plain)
    assert re.match(r"treated +\d+ users, 0\.00 \[", treated)
    assert re.match(r" +difference -1\.00, p = ", difference)
    assert server.get("/v1/unlearning/experiments/example").status_code == 404


def test_lm_eval_scores_the_variant_below_the_base(server: Server, tmp_path: Path) -> None:
    base, first, variant, second = run(str(FOLDER / "lm_eval.sh"), **of_server(server, tmp_path))
    assert (base, variant) == ("smollm2", "smollm2:france")
    scores = [float(line.split("|acc ")[1].split("|")[2]) for line in (first, second)]
    assert scores == pytest.approx([1, 2 / 3], abs=1e-3)


def test_a_method_of_forty_lines_writes_a_profile_that_serves(
    server: Server, tmp_path: Path
) -> None:
    source = (FOLDER / "own_method.py").read_text()
    assert len(source.splitlines()) <= 40
    out = tmp_path / "mine.safetensors"
    digest, france, germany = (line for line in python("own_method.py", str(out)) if line)
    assert digest == artifact.digest(out.read_bytes())
    assert "Paris" not in france
    assert "Berlin" in germany
    assert server.put("mine", out.read_bytes()).status_code == 201
    try:
        assert "Berlin" in server.answer("What is the capital of Germany?", "mine")
        assert "Paris" not in server.answer("What is the capital of France?", "mine")
    finally:
        server.delete("mine")
