"""Continuous integration installs what is missing, at once, and says how both commands ended."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .places import ROOT

TOOLS = ("bash", "dirname", "grep", "ls", "mktemp", "rm", "tail", "tee")


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH without what .ci/run looks for; `apt-get` writes down what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    program(folder / "apt-get", f'echo "$*" >> {tmp_path}/apt')
    program(folder / "make", 'echo "made $1"')
    return folder


def run(programs: Path) -> str:
    environment = {**os.environ, "PATH": str(programs)}
    done = subprocess.run(
        [ROOT / ".ci" / "run"], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_all_that_is_missing_is_installed_by_one_command(programs: Path) -> None:
    assert "made check" in run(programs)
    update, install = (programs.parent / "apt").read_text().splitlines()
    assert update == "update"
    words = install.split()
    assert words[:3] == ["install", "--yes", "--no-install-recommends"]
    assert words[3:7] == ["g++", "curl", "chromium", "fonts-dejavu-core"]
    assert set(words[7:]) <= {"postgresql", "libnuma1"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_pages_name_all_that_both_commands_want(programs: Path, page: str) -> None:
    run(programs)
    installed = (programs.parent / "apt").read_text().split("--no-install-recommends ")[1].split()
    named = re.findall(r"`apt-get install ([^`]+)`", (ROOT / page).read_text())
    assert {*installed, "make", "postgresql", "libnuma1"} <= set(" ".join(named).split())


def test_a_command_that_fails_does_not_keep_the_other_from_running(programs: Path) -> None:
    program(programs / "make", 'echo "made $1"; test "$1" = test')
    environment = {**os.environ, "PATH": str(programs)}
    done = subprocess.run(
        [ROOT / ".ci" / "run"], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "made test" in done.stdout
    assert "make check: exit status 1; make test: exit status 0" in done.stdout
