"""Objects by their digest, in a folder and at a URL."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pytest

from lethe_projections import durable
from lethe_vllm.errors import UnavailableError, UnsupportedError
from lethe_vllm.store.objects import Objects

DATA = b"some bytes"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["folder", "file", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    places = {
        "folder": str(tmp_path / "objects"),
        "file": f"file://{tmp_path}/objects",
        "memory": f"memory://{tmp_path.name}",
    }
    return Objects(places[request.param])


def test_what_is_put_is_there_by_its_digest(objects: Objects) -> None:
    assert objects.put(DATA) == DIGEST
    assert objects.put(DATA) == DIGEST
    assert Objects(objects.url).get(DIGEST) == DATA
    with pytest.raises(UnavailableError, match="put the profile again"):
        objects.get("0" * 64)


def test_a_damaged_object_is_never_given_and_a_put_mends_it(objects: Objects) -> None:
    objects.put(DATA)
    files, root = fsspec.core.url_to_fs(objects.url)
    for damaged in (b"other byte", b"some"):
        files.pipe_file(f"{root}/{DIGEST}.safetensors", damaged)
        with pytest.raises(UnavailableError, match="damaged"):
            objects.get(DIGEST)
        objects.put(DATA)
        assert objects.get(DIGEST) == DATA


def test_what_lies_beside_an_object_is_found(objects: Objects) -> None:
    objects.put(DATA)
    assert objects.beside(DIGEST, ".evidence.json") is None
    files, root = fsspec.core.url_to_fs(objects.url)
    files.pipe_file(f"{root}/{DIGEST}.evidence.json", b"{}")
    assert objects.beside(DIGEST, ".evidence.json") == b"{}"
    objects.put_beside(DIGEST, ".evidence.json", b"[]")
    assert objects.beside(DIGEST, ".evidence.json") == b"[]"
    assert objects.get(DIGEST) == DATA


def test_a_full_disk_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = Objects(str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError, match="no space"):
        objects.put(DATA)
    with pytest.raises(UnavailableError, match=r"beside .* no space"):
        objects.put_beside(DIGEST, ".evidence.json", DATA)
    assert os.listdir(tmp_path) == []


def test_a_folder_is_written_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    write = durable.write
    monkeypatch.setattr(durable, "write", lambda p, d: (written.append(p), write(p, d)))
    for url in (str(tmp_path / "a"), f"file://{tmp_path}/b"):
        Objects(url).put(DATA)
    assert [path.parent.name for path in written] == ["a", "b"]


def test_a_place_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="file system"):
        Objects("nosuch://bucket")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match="writable place"):
        Objects(str(tmp_path / "file" / "objects"))


@pytest.mark.parametrize("suffix", [".safetensors", ".evidence.json"])
def test_what_a_killed_process_had_begun_is_removed_once_it_is_old(
    suffix: str, tmp_path: Path
) -> None:
    objects = Objects(str(tmp_path))
    objects.put(DATA)
    old, new = (tmp_path / f".{DIGEST}{suffix}.{name}" for name in ("old", "new"))
    for file in (old, new, tmp_path / f"{DIGEST}.safetensors"):
        file.write_bytes(file.read_bytes() if file.exists() else b"half")
        if file != new:
            os.utime(file, (0, 0))
    Objects(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [new.name, f"{DIGEST}.safetensors"]


@pytest.mark.parametrize("method", ["cat_file", "exists", "pipe_file"])
def test_whatever_a_file_system_raises_is_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    class LibraryError(Exception):
        """As botocore's, which is no OSError."""

    def fail(*_: object) -> None:
        raise LibraryError("no credentials")

    objects = Objects(f"memory://{tmp_path.name}")
    objects.put(DATA)
    monkeypatch.setattr(objects._files, method, fail)
    asked: dict[str, list[Callable[[], object]]] = {
        "cat_file": [lambda: objects.get(DIGEST), lambda: objects.beside(DIGEST, ".json")],
        "exists": [lambda: objects.put(DATA)],
        "pipe_file": [lambda: objects.put(b"other bytes")],
    }
    for ask in asked[method]:
        with pytest.raises(UnavailableError, match="LibraryError"):
            ask()
    monkeypatch.setattr(type(objects._files), "makedirs", fail)
    with pytest.raises(UnavailableError, match="writable place"):
        Objects(objects.url)
