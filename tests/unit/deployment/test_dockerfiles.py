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


@EACH
def test_what_is_compiled_is_where_it_can_be_loaded_from(file: Path) -> None:
    """Docker's `--tmpfs /tmp` permits no execution; /data is a volume."""
    last = file.read_text().rpartition("\nFROM ")[2]
    places = dict(re.findall(r"(\w+(?:_CACHE_ROOT|_CACHE_DIR|_WORKSPACE_BASE))=(\S+)", last))
    assert {"VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"} <= places.keys()
    assert all(place.startswith("/data") for place in places.values()), places


def test_the_image_without_a_compiler_compiles_nothing() -> None:
    last = FILES[1].read_text().rpartition("\nFROM ")[2]
    assert "g++" not in last
    assert "\nENV TORCH_COMPILE_DISABLE=1\n" in last


@EACH
def test_additions_are_asked_for_within_what_is_pinned(file: Path) -> None:
    text = file.read_text()
    (command,) = re.findall(r"pip(?: --python \S+)? install (?:.*\\\n)*.*\$\{EXTRA_.*", text)
    assert "--constraint /tmp/pins" in command
    (pins,) = re.findall(r"sed -n '(.*?)' requirements/runtime.lock", text)
    lock = ROOT / "requirements" / "runtime.lock"
    found = subprocess.run(["sed", "-n", pins, lock], check=True, capture_output=True, text=True)
    expected = [line.split()[0] for line in lock.read_text().splitlines() if "==" in line]
    assert found.stdout.splitlines() == expected


def test_the_gpu_image_pins_by_the_lock_only_what_its_base_does_not_have(tmp_path: Path) -> None:
    (program,) = re.findall(r"awk -F== '(.*?)'", FILES[0].read_text())
    base, lock = tmp_path / "base", tmp_path / "lock"
    base.write_text("Jinja2==3.0\ntyping_extensions==4.0\n")
    lock.write_text("jinja2==3.1\nsqlalchemy==2.1\ntyping-extensions==4.16\n")
    command = ["awk", "-F==", program, base, lock]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["Jinja2==3.0", "typing_extensions==4.0", "sqlalchemy==2.1"]


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
