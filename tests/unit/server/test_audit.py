"""The audit: what stands in the file, when, and what becomes of what cannot be written."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_server import audit as audits
from lethe_server.audit import Audit
from lethe_server.audit_file import AuditFile
from lethe_server.evaluating.evidence import to_bytes
from lethe_server.exchange import Exchange, current
from lethe_server.policy import keys
from lethe_server.serving import policy_file
from lethe_server.settings import Settings
from lethe_server.watching import Watching
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import UnavailableError
from lethe_vllm.selection import BASE_VARIANT, Variant

from .evaluating.documents import evidence
from .fakes import BASE, Server, make

FRANCE = Variant("france", "ab" * 32)
ADMIN = (
    f"keys:\n  - {{name: admin, sha256: {keys.hashed('lethe-admin')}, base: true, admin: true}}\n"
)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def lost() -> list[int]:
    return []


@pytest.fixture
def audit(file: Path, lost: list[int]) -> Iterator[Audit]:
    found = Audit(AuditFile(file), lost=lost.append)
    yield found
    found.close()


def test_each_request_has_a_line_with_its_digest(audit: Audit, file: Path) -> None:
    audit.served(Exchange("a", "alice", FRANCE, status=200))
    audit.served(Exchange("b", None, BASE_VARIANT, refused="UnavailableError", status=503))
    audit.served(Exchange("no variant, as of a list of models", status=200))
    audit.close()
    first, second = lines(file)
    told = ("request", "key", "profile", "digest", "status", "refused")
    assert [first[name] for name in told] == ["a", "alice", "france", FRANCE.digest, 200, None]
    assert [second[name] for name in told] == ["b", None, "base", None, 503, "UnavailableError"]


@pytest.mark.parametrize(("rate", "low", "high"), [(0.0, 0, 0), (0.3, 200, 400), (1.0, 1000, 1000)])
def test_a_share_of_the_requests_is_written(file: Path, rate: float, low: int, high: int) -> None:
    audit = Audit(AuditFile(file), rate)
    for number in range(1000):
        audit.served(Exchange(str(number), None, FRANCE))
    audit.close()
    assert low <= len(lines(file)) <= high


def change(audit: Audit, fails: bool = False) -> None:
    async def run() -> None:
        current.set(Exchange("r", "alice"))
        async with audit.change("put", "france", None, FRANCE.digest):
            if fails:
                raise UnavailableError("no")

    asyncio.run(run())


def test_a_change_is_announced_and_its_end_told(audit: Audit, file: Path) -> None:
    change(audit)
    with pytest.raises(UnavailableError, match="no"):
        change(audit, fails=True)
    found = lines(file)
    assert [line["outcome"] for line in found] == ["begun", "done", "begun", "failed"]
    assert found[0]["change"] == found[1]["change"] != found[2]["change"]
    assert {(line["key"], line["request"], line["action"]) for line in found} == {
        ("alice", "r", "put")
    }


def test_a_change_is_on_the_disk_before_it_is_made(
    audit: Audit, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(file.stat().st_size))
    sizes: list[int] = []

    async def run() -> None:
        async with audit.change("put", "france", None, FRANCE.digest):
            sizes.append(file.stat().st_size)
            assert synced == sizes

    asyncio.run(run())
    assert synced == [*sizes, file.stat().st_size]


def test_a_change_that_cannot_be_announced_is_not_made(server: Server, file: Path) -> None:
    for seed in (3, 1):
        server.serving.catalogue.put("france", make(seed))
    file.mkdir()
    broken = AuditFile(file.parent / "other")
    broken.path = file
    audit = Audit(broken)
    object.__setattr__(server.serving, "watching", Watching(audit=audit))
    path = "/v1/unlearning/profiles/france"
    measured = to_bytes(evidence(artifact.digest(make(1)), BASE.fingerprint))
    for refused in (
        server.request("PUT", path, content=make(2)),
        server.request("DELETE", path),
        server.request("POST", f"{path}/rollback"),
        server.request("PATCH", path, json={"pinned": True}),
        server.request("PUT", f"{path}/evidence", content=measured),
    ):
        assert refused.status_code == 503
        assert "it was not made" in refused.json()["error"]["message"]
        digest = server.request("GET", path).json()["digest"]
        assert digest == artifact.digest(make(1))
    assert server.request("GET", path).json()["evidence"] is None
    file.rmdir()
    assert server.request("PUT", f"{path}/evidence", content=measured).status_code == 200
    assert server.request("PUT", path, content=make(2)).status_code == 200
    assert server.request("PATCH", path, json={"labels": {"a": "b"}}).status_code == 200
    assert server.request("DELETE", path).status_code == 200
    assert server.request("POST", f"{path}/rollback", json={"version": 2}).status_code == 200
    audit.close()
    first, second = artifact.digest(make(1)), artifact.digest(make(2))
    assert [(line["action"], line["before"], line["after"]) for line in lines(file)[::2]] == [
        ("evidence", first, first),
        ("put", first, second),
        ("mark", second, second),
        ("delete", second, None),
        ("rollback", None, first),
    ]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_where_the_end_of_a_change_cannot_be_written_the_error_says_that_it_was_made(
    server: Server, audit: Audit, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    path, old = "/v1/unlearning/profiles/france", artifact.digest(make(1))
    server.request("PUT", path, content=make(1))
    object.__setattr__(server.serving, "watching", Watching(audit=audit))
    append = AuditFile.append

    def no_end(self: AuditFile, lines: list[bytes], durably: bool = False) -> None:
        if b'"begun"' not in lines[0]:
            raise OSError(28, "No space left on device")
        append(self, lines, durably)

    monkeypatch.setattr(AuditFile, "append", no_end)
    reply = server.request(method, path, content=make(2) if method == "PUT" else b"")
    assert reply.status_code == 503
    assert "it was made all the same" in reply.json()["error"]["message"]
    assert server.request("GET", path).status_code == (200 if method == "PUT" else 404)
    assert old not in server.engine.held


ARMS = [{"name": "a", "profile": "base"}, {"name": "b", "profile": "france"}]


def test_what_becomes_of_experiments_is_audited(server: Server, audit: Audit, file: Path) -> None:
    server.serving.catalogue.put("france", make(1))
    object.__setattr__(server.serving, "watching", Watching(audit=audit))
    url = "/v1/unlearning/experiments"
    assert server.post(url, json={"name": "trial", "arms": ARMS}).status_code == 201
    assert server.post(f"{url}/trial/stop").status_code == 200
    assert server.request("DELETE", f"{url}/trial").status_code == 200
    assert server.request("DELETE", f"{url}/trial").status_code == 404
    told = ("action", "name", "before", "after", "outcome")
    assert [tuple(line[one] for one in told) for line in lines(file)[1::2]] == [
        ("experiment-create", "trial", None, "running", "done"),
        ("experiment-stop", "trial", "running", "stopped", "done"),
        ("experiment-delete", "trial", "stopped", None, "done"),
        ("experiment-delete", "trial", None, None, "failed"),
    ]


def test_what_files_and_other_processes_do_to_names_is_audited_once_noticed(
    server: Server, tmp_path: Path, audit: Audit, file: Path
) -> None:
    catalogue, folder = server.serving.catalogue, tmp_path / "profiles"
    first, second = artifact.digest(make(1)), artifact.digest(make(2))
    (folder / "france.safetensors").write_bytes(make(1))
    catalogue.entry("france")
    catalogue.names.listen(audit.noticed)
    other = Catalogue(folder, BASE)
    other.put("spain", make(1))
    other.put("france", make(2))
    catalogue.put("italy", make(2))
    (folder / "japan.safetensors").write_bytes(make(1))
    catalogue.entry("japan")
    (folder / "japan.safetensors").unlink()
    assert "japan" not in catalogue.listed()
    audit.close()
    told = ("action", "name", "before", "after")
    assert {line["outcome"] for line in lines(file)} == {"noticed"}
    assert [tuple(line[one] for one in told) for line in lines(file)] == [
        ("file", "france", None, first),
        ("elsewhere", "spain", None, first),
        ("elsewhere", "france", first, second),
        ("file", "japan", None, first),
        ("file", "japan", first, None),
    ]


def test_a_process_that_starts_takes_the_names_that_are_there_for_no_change(
    server: Server, tmp_path: Path, audit: Audit, file: Path
) -> None:
    server.serving.catalogue.put("france", make(1))
    other = Catalogue(tmp_path / "profiles", BASE)
    other.names.listen(audit.noticed)
    other.entry("france")
    audit.close()
    assert not lines(file)


def test_a_policy_that_is_read_again_is_audited_also_where_it_is_refused(
    server: Server, tmp_path: Path, audit: Audit, file: Path
) -> None:
    path = tmp_path / "policy.yaml"
    texts = [f"version: 1\nanonymous: {{base: true}}\n#{number}\n" for number in range(3)]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    path.write_text(texts[0] + ADMIN)
    digests[0] = hashlib.sha256(path.read_bytes()).hexdigest()
    policy = policy_file(Settings(policy=str(path)), audit)
    object.__setattr__(server.serving, "watching", Watching(audit=audit))
    object.__setattr__(server.serving, "policy", policy)
    reload = "/v1/unlearning/policy/reload"
    assert policy is not None
    assert server.post(reload, headers={"x-api-key": "lethe-admin"}).status_code == 200
    path.write_text(texts[1])
    policy.now()
    path.write_text("version: 2")
    policy.on_signal()
    policy.now()
    path.write_text(texts[2])
    policy.on_signal()
    audit.close()
    told = ("action", "key", "before", "after", "outcome")
    assert {line["name"] for line in lines(file)} == {str(path)}
    assert [tuple(line[one] for one in told) for line in lines(file)] == [
        ("policy", "admin", digests[0], None, "begun"),
        ("policy", "admin", digests[0], digests[0], "done"),
        ("policy", None, digests[0], digests[1], "noticed"),
        ("policy", None, digests[1], None, "failed"),
        ("policy", None, digests[1], digests[2], "noticed"),
    ]


def test_a_rotated_file_is_left_and_a_new_one_begun(audit: Audit, file: Path) -> None:
    change(audit)
    before = file.read_bytes()
    file.rename(file.with_suffix(".1"))
    change(audit)
    assert file.with_suffix(".1").read_bytes() == before
    assert len(lines(file)) == 2


def test_an_unfinished_line_does_not_spoil_the_next(file: Path) -> None:
    file.write_bytes(b'{"event": "requ')
    audit = Audit(AuditFile(file))
    change(audit)
    audit.close()
    torn, *whole = file.read_bytes().splitlines()
    assert torn == b'{"event": "requ'
    assert [json.loads(line)["outcome"] for line in whole] == ["begun", "done"]


def test_lines_of_several_writers_do_not_mix(file: Path) -> None:
    writers = [AuditFile(file) for _ in range(4)]
    wanted = [json.dumps({"writer": n, "pad": "x" * 5000}).encode() for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for one, line in zip(writers, wanted, strict=True):
            pool.submit(lambda one=one, line=line: [one.append([line]) for _ in range(50)])
    found = file.read_bytes().splitlines()
    assert len(found) == 200
    assert set(found) == set(wanted)


def test_what_cannot_be_written_is_counted(
    audit: Audit, lost: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AuditFile, "append", full)
    audit.served(Exchange("a", None, FRANCE))
    audit.close()
    assert lost == [1]


def test_a_full_queue_is_counted_and_does_not_grow(
    audit: Audit, lost: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "MAX_WAITING", 0)
    audit.served(Exchange("a", None, FRANCE))
    assert lost == [1]


def test_a_process_that_ends_writes_what_waits(file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lethe_server.audit import Audit\n"
        "from lethe_server.audit_file import AuditFile\n"
        "from lethe_server.exchange import Exchange\n"
        "from lethe_vllm.selection import BASE_VARIANT\n"
        "audit = Audit(AuditFile(Path(sys.argv[1])))\n"
        "for n in range(5000): audit.served(Exchange(str(n), None, BASE_VARIANT))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, timeout=60)
    assert [line["request"] for line in lines(file)] == [str(n) for n in range(5000)]
