"""The images' recipes, as far as they can be judged without building them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import Understood
from .places import DOCKER, PROGRAMS, ROOT

FILES = [DOCKER / "Dockerfile", DOCKER / "Dockerfile.cpu"]
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


@EACH
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    done = subprocess.run(
        [PROGRAMS / "hadolint", file], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@EACH
def test_it_starts_from_exact_tags_and_says_no_version_itself(file: Path) -> None:
    text = file.read_text()
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", text, re.MULTILINE)
    assert bases
    assert all(re.search(r":v?\d+\.\d+\.\d+", base) for base in bases)
    assert re.findall(r"^ARG VERSION=(\S+)$", text, re.MULTILINE) == ["unknown"]


def test_the_gpu_image_is_the_newest_vllm_that_is_tried() -> None:
    from lethe_vllm.compat.configuration import TRIED

    assert f"BASE_IMAGE=vllm/vllm-openai:v{TRIED[-1]}\n" in FILES[0].read_text()


@EACH
def test_its_last_stage_runs_lethe_as_nobody_in_particular_and_asks_for_its_health(
    file: Path, understood: Understood
) -> None:
    last = file.read_text().rpartition("\nFROM ")[2]
    (command,) = re.findall(r"^CMD (.*)$", last, re.MULTILINE)
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", last, re.MULTILINE)
    assert json.loads(entry) == ["lethe"]
    words = json.loads(command)
    if words != ["serve", "--help"]:
        _, passed = understood(words)
        assert (passed.host, passed.port, passed.enforce_eager) == ("0.0.0.0", 8000, True)
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "urlopen('http://127.0.0.1:8000/health'" in last
    assert "EXPOSE 8000\n" in last
    assert "gcc" not in last
    assert "build-essential" not in last


def test_the_context_has_no_file_but_what_is_built_and_its_locks() -> None:
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in allowed
    named = {line.removeprefix("!") for line in allowed if line.startswith("!")}
    assert named == {
        *("LICENSE", "README.md", "pyproject.toml", "requirements/*.lock"),
        *("projections", "plugins", "server"),
    }
    copied = re.findall(r"^COPY (?!--from)(\S+)", FILES[1].read_text(), re.MULTILINE)
    assert copied == ["requirements/*.lock", "."]
