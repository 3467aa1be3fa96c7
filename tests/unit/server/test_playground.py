"""The files of the playground: which are served, how, and where those of others are from."""

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lethe_projections.errors import LetheError
from lethe_server.playground.files import STATIC, TYPES, listing
from lethe_server.playground.routes import CONTENT_SECURITY_POLICY, router

VENDOR = STATIC / "vendor"
PINS = Path(__file__).parents[3] / "requirements" / "vendor.toml"
OWN = [path for path in STATIC.rglob("*") if path.is_file() and VENDOR not in path.parents]


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.include_router(router)
    return TestClient(app)


def test_every_file_is_served_with_its_type_and_headers(client: TestClient) -> None:
    for path, file in listing().items():
        if path == "index.html":
            continue  # see below
        reply = client.get(f"/playground/{path}")
        assert (reply.status_code, reply.content) == (200, (STATIC / path).read_bytes())
        assert reply.headers["Content-Type"] == TYPES[Path(path).suffix] == file.media_type
        assert reply.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Cache-Control"] == "no-cache"


def test_the_page_has_one_address(client: TestClient) -> None:
    page = client.get("/playground")
    assert page.content == (STATIC / "index.html").read_bytes()
    for path in ("/playground/", "/playground/index.html"):
        moved = client.get(path, follow_redirects=False)
        assert (moved.status_code, moved.headers["Location"]) == (307, "../playground")
        assert client.get(path).content == page.content


def test_what_a_browser_has_already_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/playground/app.js").headers["ETag"]
    again = client.get("/playground/app.js", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/playground/ui.js", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "../routes.py", "%2e%2e/routes.py", "..%2froutes.py", "chat/../../routes.py",
        "/etc/passwd", "%2fetc%2fpasswd", "chat", "chat/", "app.js%00", "App.js", "./app.js%2f",
    ],
)  # fmt: skip
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    reply = client.get(f"/playground/{path}")
    assert reply.status_code == 404
    assert "import" not in reply.text


def test_a_file_of_an_unknown_type_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("")
    with pytest.raises(LetheError, match=r"found page\.py"):
        listing(tmp_path)


def test_every_file_of_others_is_as_it_was_taken() -> None:
    said = json.loads((VENDOR / "vendor.json").read_text())
    licences = {path.name for path in VENDOR.glob("*.licence.txt")}
    assert {path.name for path in VENDOR.iterdir()} == {*said, *licences, "vendor.json"}
    for name, origin in said.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == origin["sha256"]
    pins = tomllib.loads(PINS.read_text())
    assert licences == {f"{name}.licence.txt" for name in pins}
    taken = {(target, pin["version"]) for pin in pins.values() for target in pin["files"].values()}
    assert taken == {(name, origin["version"]) for name, origin in said.items()}


def test_no_file_of_our_own_names_another_host() -> None:
    addresses = re.compile(r"https?://(?!www\.w3\.org/2000/svg\")")
    assert len(OWN) > 10, "this test would prove nothing"
    assert [path.name for path in OWN if addresses.search(path.read_text())] == []


def test_modules_import_files_that_there_are() -> None:
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r"""\bfrom\s*["']([^"'\n]+)["']""", path.read_text()):
            assert name.startswith("."), (path.name, name)
            assert (path.parent / name).resolve().is_file(), (path.name, name)


def test_the_page_asks_for_nothing_but_what_is_below_it() -> None:
    """So it can be mounted, or served behind a proxy, anywhere."""
    addresses = re.findall(r"""(?:href|src)="([^"]*)\"""", (STATIC / "index.html").read_text())
    assert len(addresses) > 5, "this test would prove nothing"
    for address in addresses:
        assert address.removeprefix("playground/") in listing(), address


def test_no_page_is_made_of_text() -> None:
    """What a model answers may be anything: it is never read as HTML, nor as a style or script."""
    unsafe = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
        r"""|\sstyle=['"]"""
    )
    assert [path.name for path in OWN if unsafe.search(path.read_text())] == []
