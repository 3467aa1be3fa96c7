"""`lethe profiles` against the server's application, over a real connection."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from lethe_projections.errors import LetheError
from lethe_server import cli
from lethe_server.client import Client
from lethe_server.evaluating import attaching

from .evaluating.documents import evidence
from .fakes import BASE, Server, make
from .test_profiles import NEW, NEW_DIGEST, OLD, OLD_DIGEST


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = uvicorn.Server(uvicorn.Config(server.app, log_level="critical"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        running.should_exit = True
        thread.join()


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "new").write_bytes(NEW)
    return str(tmp_path / "old"), str(tmp_path / "new")


def lethe(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["profiles", *arguments], env={"LETHE_URL": url})


def said(url: str, *arguments: str) -> dict[str, object]:
    result = lethe(url, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_a_profile_is_added_replaced_rolled_back_and_removed(
    url: str, files: tuple[str, str]
) -> None:
    old, new = files
    assert said(url, "add", "france", old)["digest"] == OLD_DIGEST
    assert said(url, "add", "france", new)["digest"] == NEW_DIGEST
    assert said(url, "rollback", "france")["digest"] == OLD_DIGEST
    assert said(url, "rollback", "france", "--version", "2")["digest"] == NEW_DIGEST
    assert said(url, "rollback", "france", "--digest", OLD_DIGEST[:8])["digest"] == OLD_DIGEST
    assert said(url, "show", "france")["version"] == 5
    removed = lethe(url, "rm", "france")
    assert "'lethe profiles rollback france' brings it back" in removed.stdout
    assert said(url, "list")["data"] == []
    assert said(url, "rollback", "france", "--version", "1")["digest"] == OLD_DIGEST


def test_a_name_is_taken_only_if_it_is_free_or_has_the_digest_that_was_seen(
    url: str, files: tuple[str, str]
) -> None:
    old, new = files
    assert said(url, "add", "france", old, "--new")["digest"] == OLD_DIGEST
    for late in (["--new"], ["--replacing", NEW_DIGEST]):
        refused = lethe(url, "add", "france", new, *late)
        assert isinstance(refused.exception, LetheError)
        assert f"found {OLD_DIGEST[:12]}" in str(refused.exception)
    assert said(url, "add", "france", new, "--replacing", OLD_DIGEST)["digest"] == NEW_DIGEST
    assert lethe(url, "add", "france", old, "--new", "--replacing", NEW_DIGEST).exit_code == 2


def test_what_a_person_reads_says_the_same(url: str, files: tuple[str, str]) -> None:
    lethe(url, "add", "france", files[0])
    assert lethe(url, "pin", "france").stdout == f"france: version 1, {OLD_DIGEST}, pinned\n"
    listed = lethe(url, "list").stdout
    assert ["france", OLD_DIGEST[:12], "1", "synthetic", "2", "0", "yes", "0"] == (
        listed.splitlines()[1].split()
    )
    shown = lethe(url, "show", "france").stdout
    assert "1 (now)" in shown
    assert "synthetic" in shown


def test_what_was_measured_is_shown(url: str, files: tuple[str, str]) -> None:
    lethe(url, "add", "france", files[0])
    assert "worst form" not in lethe(url, "show", "france").stdout
    attaching.upload(Client(url), "france", evidence(OLD_DIGEST, BASE.fingerprint))
    shown = lethe(url, "show", "france").stdout
    assert "towns 1: worst form prefix, recovered 0.250" in shown
    assert said(url, "show", "france")["evidence"] == (
        evidence(OLD_DIGEST, BASE.fingerprint).model_dump(mode="json")
    )


def test_a_pinned_name_changes_only_once_it_is_let_go(url: str, files: tuple[str, str]) -> None:
    lethe(url, "add", "france", files[0])
    lethe(url, "pin", "france")
    refused = lethe(url, "add", "france", files[1])
    assert isinstance(refused.exception, LetheError)
    assert "unpin it first" in str(refused.exception)
    assert said(url, "pin", "france", "--off")["pinned"] is False
    assert said(url, "add", "france", files[1])["digest"] == NEW_DIGEST


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "spain"], "expected one of base"),
        (["rm", "spain"], "found 'spain'"),
        (["rollback", "spain"], "earlier version"),
        (["add", "France", "FILE"], "profile name"),
        (["add", "france", "s3://bucket/france"], "--source"),
    ],
)
def test_the_servers_reason_is_the_commands(
    arguments: list[str], says: str, url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(make(1))
    arguments = [str(tmp_path / "file") if one == "FILE" else one for one in arguments]
    result = lethe(url, *arguments)
    assert isinstance(result.exception, LetheError)
    assert says in str(result.exception)


def test_a_missing_file_and_wrong_usage_are_told_apart(url: str) -> None:
    missing = lethe(url, "add", "france", "/nowhere/france")
    assert isinstance(missing.exception, FileNotFoundError)
    assert lethe(url, "rollback", "france", "--version", "0").exit_code == 2
    assert lethe(url, "rollback", "france", "--version", "1", "--digest", "ab").exit_code == 2
