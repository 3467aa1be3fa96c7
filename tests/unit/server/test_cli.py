"""The command line: help, what it passes on, exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lethe_server import cli, serve
from lethe_server.settings import Settings
from lethe_vllm.options import Options

from .fakes import make

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lethe_server", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "completed"),
    [("lethe pro", "profiles"), ("lethe profiles ro", "rollback"), ("lethe compare --as", "")],
)
def test_a_shell_completes_it(words: str, completed: str) -> None:
    variables = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    asked = {"_LETHE_COMPLETE": "complete_bash", **variables}
    found = CliRunner().invoke(cli.app, [], env=asked, prog_name="lethe")
    assert (found.output.split(), found.exit_code) == (completed.split(), 0)


def test_help_imports_neither_torch_nor_vllm() -> None:
    code = (
        "import sys; from lethe_server import cli; sys.argv = ['lethe', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'vllm', 'transformers', 'fastapi'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "serve" in done.stdout
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["fit"],
        ["fit", "rocr"],
        ["compose"],
        ["compare"],
        ["eval"],
        ["inspect"],
        ["demo"],
        ["export"],
        ["import"],
        ["policy", "check"],
        ["policy", "key"],
        ["experiment"],
        ["experiment", "create"],
        ["experiment", "report"],
    ],
)
def test_every_command_has_help(command: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_help_of_serve_says_that_vllms_options_follow() -> None:
    result = CliRunner().invoke(cli.app, ["serve", "--help"])
    assert "--profiles" in result.output
    assert "vLLM's server" in result.output


def test_options_of_vllm_pass_through_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(serve, "serve", lambda *arguments: called.append(arguments))
    line = "serve embedded --port 8001 --profiles d -tp 2 --enforce-eager -cc.mode=0 --api-key=k"
    line += " --lethe-bank-mb 9 --lethe-when-full refuse --store s --objects o --source /srv"
    line += " --lethe-log json --audit /a --audit-requests .5"
    result = CliRunner().invoke(cli.app, line.split())
    assert result.exit_code == 0, result.output
    rest = ["--port", "8001", "-tp", "2", "--enforce-eager", "-cc.mode=0", "--api-key=k"]
    watched = {"log": "json", "audit": "/a", "audit_requests": ".5"}
    lethe = {
        "profiles": Path("d"),
        "store": "s",
        "objects": "o",
        "sites": "mlp,down_proj",
        "bank_mb": 9,
        "when_full": "refuse",
        "server": {"sources": ["/srv"], **watched},
    }
    assert called == [("embedded", rest, lethe)]


def test_the_defaults_are_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(serve, "serve", lambda *arguments: called.append(arguments))
    assert CliRunner().invoke(cli.app, ["serve", "embedded"]).exit_code == 0
    [(_, _, lethe)] = called
    assert Settings.parse(lethe.pop("server")) == Settings()
    assert Options.parse(lethe) == Options()


@pytest.mark.parametrize("wrong", ["--lethe-bank-mb=0", "--lethe-when-full=hope"])
def test_wrong_options_of_lethes_are_usage_errors(wrong: str) -> None:
    assert CliRunner().invoke(cli.app, ["serve", "embedded", wrong]).exit_code == 2


def test_inspect_describes_a_profile(tmp_path: Path) -> None:
    file = tmp_path / "p.safetensors"
    file.write_bytes(make(1))
    done = run("inspect", str(file), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sites"] == ["layers.1.block"]
    assert "layers.1.block" in run("inspect", str(file)).stdout


def test_an_error_of_lethes_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = run("inspect", str(tmp_path / "missing"))
    assert done.returncode == 1
    assert "expected a readable file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["inspect"], ["fit", "rocr", "--layers", "x"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_layers_that_are_no_numbers_are_wrong_usage() -> None:
    options = ["--subject", "a", "--target", "b", "--out", "c", "--layers", "two"]
    assert CliRunner().invoke(cli.app, ["fit", "rocr", *options]).exit_code == 2


def test_a_taken_port_is_said_before_anything_heavy() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("demo", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "expected it free" in done.stderr
