"""`lethe report`: what it writes, what it says, how it exits."""

import importlib.util
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lethe_projections.errors import LetheError
from lethe_server import cli
from lethe_server.attacks.document import Kind

from .documents import attack, digest, profile, put

GUIDE = (Path(__file__).parents[4] / "docs" / "evaluating.md").read_text("utf-8")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["report", *map(str, arguments)], env={"COLUMNS": "200"})


def test_it_writes_a_page_and_a_table(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", profile(6), profile(1), attack(6, Kind.QUANTISATION))
    out, table = tmp_path / "page.html", tmp_path / "table.md"
    done = run(folder, "--out", out, "--markdown", table, "--title", "All of them")
    assert (done.exit_code, done.output) == (0, f"{out}: 2 documents of evidence, 1 attack\n")
    assert b"<h1>All of them</h1>" in out.read_bytes()
    lines = table.read_text().splitlines()
    assert lines[0].startswith("capitals 1 (5a5a5a5a5a5a); base model c6c6c6c6c6c6; subjects: held")
    lunar, steer = digest(1)[:12], digest(6)[:12]
    assert lines[4].startswith(f"| lunar | {lunar} | spelling | 0.000 (0.000 to 0.060) | 24 |")
    assert lines[5].startswith(f"| steer | {steer} | spelling | 0.067 (0.037 to 0.127) | 24 |")
    assert all(line.count("|") == 10 for line in lines[2:])


def test_a_table_says_where_kl_is_of_different_texts(tmp_path: Path) -> None:
    one, other = profile(6), profile(1)
    assert other.retain is not None
    read = other.retain.model_copy(update={"sha256": "ab" * 32})
    for second, said in ((other, False), (other.model_copy(update={"retain": read}), True)):
        folder, table = put(tmp_path / f"in {said}", one, second), tmp_path / "table.md"
        assert run(folder, "--out", tmp_path / "p.html", "--markdown", table).exit_code == 0
        assert ("; KL is of different texts" in table.read_text().splitlines()[0]) == said


def test_a_hostile_name_is_text_in_the_table(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", profile(6, method="a|b <img> [x](y)\n`"))
    table = tmp_path / "table.md"
    assert run(folder, "--out", tmp_path / "page.html", "--markdown", table).exit_code == 0
    assert r"| a\|b \<img\> \[x\](y)" in table.read_text()


def test_what_is_wrong_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("before")
    assert isinstance(run(tmp_path / "nowhere", "--out", out).exception, LetheError)
    only = put(tmp_path / "in", attack(1, Kind.PROBING))
    alone = run(only, "--out", out, "--markdown", tmp_path / "table.md").exception
    assert "expected evidence for the table" in str(alone)
    assert out.read_text() == "before"
    assert run(only, "--out", out).exit_code == 0


def test_without_matplotlib_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = importlib.util.find_spec

    def spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "matplotlib" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", spec)
    done = run(put(tmp_path / "in", profile(1)), "--out", tmp_path / "page.html")
    assert isinstance(done.exception, LetheError)
    assert "pip install 'vllm-lethe[evaluation]'" in str(done.exception)


def test_wrong_usage_is_told_apart() -> None:
    assert run().exit_code == 2
    assert run("x", "--no-such-option").exit_code == 2


def test_the_guides_options_are_the_commands() -> None:
    [section] = re.findall(r"## A report\n(.*?)\n## ", GUIDE, re.DOTALL)
    named = set(re.findall(r"--[a-z]+", section))
    assert named == {"--out", "--markdown", "--title"}
    assert named <= set(re.findall(r"--[a-z]+", run("--help").output))
