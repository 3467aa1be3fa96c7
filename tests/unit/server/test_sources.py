"""Where a PUT may take artifacts from, and that nothing else is ever read."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import huggingface_hub
import pytest

from lethe_projections.errors import LetheError
from lethe_server import sources
from lethe_server.errors import NotPermittedError, TooLargeError
from lethe_server.settings import Settings
from lethe_server.sources import Sources
from lethe_vllm.errors import SelectionError, UnavailableError, UnsupportedError

from .web import Answer, serving

DATA = b"an artifact"


def read(source: str, *permitted: str) -> bytes:
    return asyncio.run(Sources(permitted).read(source))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A permitted folder, beside one with a secret, and links from the one into the other."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "france.safetensors").write_bytes(DATA)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret" / "key")
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "root" / "inside").symlink_to(tmp_path / "root" / "france.safetensors")
    (tmp_path / "rootless").mkdir()
    (tmp_path / "rootless" / "france.safetensors").write_bytes(b"secret")
    return tmp_path / "root"


def test_a_path_below_a_permitted_folder_is_read(root: Path) -> None:
    for path in ("france.safetensors", "inside", "../root/france.safetensors"):
        assert read(f"{root}/{path}", "/nowhere", str(root)) == DATA
    assert read(f"file://{root}/france.safetensors", str(root)) == DATA


@pytest.mark.parametrize(
    "path", ["../secret/key", "link", "folder/key", "../rootless/france.safetensors", ".."]
)
def test_no_path_leads_out_of_a_permitted_folder(path: str, root: Path) -> None:
    for prefix in ("", "file://"):
        with pytest.raises(NotPermittedError, match="--source"):
            read(f"{prefix}{root}/{path}", str(root))


@pytest.mark.parametrize("given", [".", "root", "./root/../root", "file://{root}", "{root}/"])
def test_a_folder_is_permitted_however_it_is_written(
    given: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    settings = Settings(sources=[given.format(root=root)])
    monkeypatch.chdir("/")
    assert read(f"{root}/france.safetensors", *settings.sources) == DATA


@pytest.mark.parametrize(
    "given", ["", "none", "/none", "file://root", "file:///none", "root/france.safetensors", "s3:b"]
)
def test_a_folder_that_would_permit_nothing_is_refused_at_the_start(
    given: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    with pytest.raises(UnsupportedError, match="--source: expected a folder that exists"):
        Settings.parse({"sources": [given]})


def test_a_url_is_permitted_as_it_stands() -> None:
    urls = ("s3://bucket/a", "hf://org/")
    assert Settings(sources=urls).sources == urls


def test_nothing_is_permitted_unless_it_is_said(root: Path) -> None:
    for source in (f"{root}/france.safetensors", "s3://bucket/a", "hf://org/name", "http://h/a"):
        for permitted in ((), ("s3://other/", "/srv")):
            with pytest.raises(NotPermittedError):
                read(source, *permitted)


def test_a_url_below_a_permitted_one_is_read() -> None:
    fsspec.filesystem("memory").pipe_file("/bucket/france", DATA)
    for permitted in ("memory://bucket", "memory://bucket/"):
        assert read("memory://bucket/france", permitted) == DATA


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("memory://bucket-of-others/france", NotPermittedError),
        ("memory://bucket/../secret", SelectionError),
        ("memory://bucket/%2e%2e/secret", SelectionError),
        ("memory://bucket/..\\secret", SelectionError),
        ("MEMORY://bucket/france", NotPermittedError),
        ("simplecache::memory://bucket/france", NotPermittedError),
        ("memory://bucket//etc/passwd", SelectionError),
        ("memory://bucket/%2fetc/passwd", SelectionError),
        ("relative/path", SelectionError),
        ("", SelectionError),
        ("memory://bucket/missing", UnavailableError),
    ],
)
def test_other_urls_are_errors(source: str, error: type[LetheError]) -> None:
    fsspec.filesystem("memory").pipe_file("/secret", b"secret")
    fsspec.filesystem("memory").pipe_file("/bucket-of-others/france", b"secret")
    with pytest.raises(error, match="source"):
        read(source, "memory://bucket")


def test_what_is_too_large_is_not_read_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", len(DATA) - 1)
    fsspec.filesystem("memory").pipe_file("/bucket/france", DATA)
    for source in (f"{root}/france.safetensors", "memory://bucket/france"):
        with pytest.raises(TooLargeError):
            read(source, str(root), "memory://bucket")


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's cache on this machine with one repository in it, and no network."""
    repository = tmp_path / "hub" / "models--org--profiles"
    snapshot = repository / "snapshots" / ("1" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "france.safetensors").write_bytes(DATA)
    (snapshot / "README.md").write_text("of no interest")
    (repository / "refs").mkdir()
    for revision in ("main", "v1"):
        (repository / "refs" / revision).write_text("1" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return snapshot


@pytest.mark.parametrize(
    "source",
    [
        "hf://org/profiles",
        "hf://org/profiles@v1",
        f"hf://org/profiles@{'1' * 40}",
        "hf://org/profiles@main/france.safetensors",
    ],
)
def test_a_repository_of_the_hub_is_found_in_the_local_cache(source: str, hub_cache: Path) -> None:
    assert read(source, "hf://org") == DATA


def test_a_repository_that_is_not_in_the_cache_or_not_clear_is_an_error(hub_cache: Path) -> None:
    with pytest.raises(UnavailableError, match="expected an artifact there"):
        read("hf://org/other", "hf://org")
    with pytest.raises(UnavailableError):
        read("hf://org/profiles@v2", "hf://org")
    with pytest.raises(NotPermittedError):
        read("hf://organisation/profiles", "hf://org")
    (hub_cache / "spain.safetensors").write_bytes(DATA)
    with pytest.raises(SelectionError, match=r"france\.safetensors, spain\.safetensors"):
        read("hf://org/profiles", "hf://org")
    assert read("hf://org/profiles/spain.safetensors", "hf://org") == DATA


@pytest.mark.parametrize("file", ["/etc/passwd", "*", "*.safetensors", "spain?safetensors", "[a]"])
def test_of_a_repository_no_file_but_its_own_by_name_is_read(file: str, hub_cache: Path) -> None:
    with pytest.raises(SelectionError, match="source"):
        read(f"hf://org/profiles/{file}", "hf://org")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    for path, permitted in (("zero", "/dev"), ("pipe", str(tmp_path)), ("", str(tmp_path))):
        with pytest.raises(SelectionError, match="expected a file"):
            read(f"{tmp_path}/{path}", permitted)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """A web server with an artifact, a secret, and redirects from the one place to the other."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    there: dict[str, Answer] = {
        "/profiles/france": (200, {}, DATA),
        "/profiles/moved": (302, {"Location": "/secret"}, b"a redirect's body"),
        "/profiles/kept": (308, {"Location": "france"}, b""),
        "/secret": (200, {}, b"secret"),
    }
    with serving(lambda path: there.get(path, (404, {}, b"none"))) as found:
        yield found


def test_no_redirect_leads_out_of_a_permitted_url(web: tuple[str, list[str]]) -> None:
    address, asked = web
    permitted = f"{address}/profiles/"
    assert read(f"{permitted}france", permitted) == DATA
    for name, status in (("moved", "302"), ("kept", "308")):
        with pytest.raises(UnavailableError, match=f"status {status}, a redirect"):
            read(f"{permitted}{name}", permitted)
    assert asked == [f"GET /profiles/{name}" for name in ("france", "moved", "kept")]


def test_what_a_web_server_does_not_have_or_has_too_much_of_is_an_error(
    web: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = web
    with pytest.raises(UnavailableError, match=r"found status 404$"):
        read(f"{address}/profiles/spain", f"{address}/profiles")
    monkeypatch.setattr(sources, "MAX_BYTES", len(DATA) - 1)
    with pytest.raises(TooLargeError):
        read(f"{address}/profiles/france", f"{address}/profiles")


def test_whatever_a_file_system_raises_is_an_error_of_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class LibraryError(Exception):
        """As botocore's, which is no OSError."""

    def fail(*_: object) -> None:
        raise LibraryError("no credentials")

    monkeypatch.setattr(fsspec, "open", fail)
    with pytest.raises(UnavailableError, match="found LibraryError;"):
        read("memory://bucket/france", "memory://bucket")


@pytest.fixture
def hub(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Hub that answers, with a newer commit than the cache has; what it was asked for."""
    sizes = {"france.safetensors": len(DATA), "old/france.safetensors": 3, "README.md": 2}
    commit = "2" * 40

    def answer(path: str) -> Answer:
        if "/tree/" in path:
            files = [
                {"type": "file", "path": name, "size": size, "oid": "3" * 40}
                for name, size in sizes.items()
            ]
            return 200, {}, json.dumps(files).encode()
        if path.startswith("/api/"):
            return 200, {}, json.dumps({"id": "org/profiles", "sha": commit}).encode()
        return 200, {"ETag": "etag", "X-Repo-Commit": commit}, DATA

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(answer) as (address, asked):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield asked


def downloads(asked: list[str]) -> list[str]:
    return [path for path in asked if path.startswith("GET") and "/resolve/" in path]


def test_of_a_repository_one_file_is_downloaded_once(
    hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read("hf://org/profiles", "hf://org") == DATA
    [download] = downloads(hub)
    assert download.endswith(f"/{'2' * 40}/france.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert read("hf://org/profiles", "hf://org") == DATA
    assert downloads(hub) == [download]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(SelectionError, match="found none"):
        read("hf://org/profiles/nowhere.safetensors", "hf://org")


def test_what_is_too_large_is_not_downloaded(
    hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", len(DATA) - 1)
    for source in ("hf://org/profiles", "hf://org/profiles@main/france.safetensors"):
        with pytest.raises(TooLargeError, match=f"found {len(DATA)} "):
            read(source, "hf://org")
    assert downloads(hub) == []
