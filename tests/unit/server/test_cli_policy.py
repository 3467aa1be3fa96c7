"""`lethe policy`: keys that work, and what a file permits."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lethe_server import cli, serve
from lethe_server.errors import PolicyError
from lethe_server.policy import keys
from lethe_vllm.errors import UnsupportedError

HASH = keys.hashed("lethe-k")
POLICY = f"""
version: 1
keys:
  - {{name: app, sha256: {HASH}, profiles: [b, a], default: a}}
"""


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["policy", *arguments])


def test_a_new_key_and_the_lines_for_it_fit_together() -> None:
    first, second = (run("key", "--name", "app").output for _ in "ab")
    key, _, lines = first.partition("\n")
    assert key != second.partition("\n")[0]
    assert yaml.safe_load(lines) == [
        {"name": "app", "sha256": keys.hashed(key), "profiles": [], "base": False}
    ]
    assert key not in lines


def test_check_says_what_each_key_may_do(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    result = run("check", str(file))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "app: restricted",
        "  profiles: a, b",
        "  adapters: none",
        "  base: no",
        "  default: a",
        "without a key: refused",
    ]
    assert json.loads(run("check", str(file), "--json").output) == {
        "keys": [
            {
                "name": "app",
                "restricted": True,
                "base": False,
                "profiles": ["a", "b"],
                "default": "a",
                "adapters": [],
                "admin": False,
            }
        ],
        "anonymous": None,
    }
    file.write_text('version: 1\nanonymous: {base: true, profiles: "*", adapters: "*"}')
    assert run("check", str(file)).output.startswith("anonymous: may use everything\n")


def test_check_of_a_wrong_file_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("default: a", "default: c"))
    monkeypatch.setattr("sys.argv", ["lethe", "policy", "check", str(file)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "line 4, keys.0.default: expected what" in capsys.readouterr().err


def test_the_policys_path_travels_with_the_servers_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(serve, "serve", lambda *arguments: called.append(arguments))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["serve", "embedded", "--policy", "policy.yaml"])
    assert result.exit_code == 0, result.output
    assert called[0][2]["server"]["policy"] == str(tmp_path / "policy.yaml")


def test_a_wrong_policy_stops_the_start_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="expected a readable file"):
        serve.serve("embedded", [], {"server": {"policy": str(tmp_path / "none.yaml")}})


def test_ids_that_clients_choose_are_refused_beside_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    monkeypatch.setenv("VLLM_DISABLE_REQUEST_ID_RANDOMIZATION", "1")
    monkeypatch.setenv("VLLM_PLUGINS", "lethe")
    with pytest.raises(UnsupportedError, match=r"RANDOMIZATION set, .*; unset it"):
        serve.serve("a-model", [], {"server": {"policy": str(file)}})
    serve.refuse_chosen_ids({"VLLM_DISABLE_REQUEST_ID_RANDOMIZATION": "0"})
    serve.refuse_chosen_ids({})


@pytest.mark.parametrize(
    ("options", "environment", "named"),
    [
        (["--api-key", "k"], {}, "--api-key"),
        ([], {"VLLM_API_KEY": "k"}, "VLLM_API_KEY"),
    ],
)
def test_vllms_own_keys_beside_a_policy_are_refused(
    options: list[str], environment: dict[str, str], named: str
) -> None:
    from lethe_server import compat

    parsed = compat.parse_serve(["a-model", *options])
    with pytest.raises(UnsupportedError, match=f"found {named}; leave it out"):
        serve.refuse_other_keys(parsed, environment)
    serve.refuse_other_keys(compat.parse_serve(["a-model"]), {})
