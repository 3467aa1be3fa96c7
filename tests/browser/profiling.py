"""What tests do with profiles, by the API and on their pages."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
from playwright.sync_api import FilePayload, Locator, Page

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence
from tests.http.profiles import synthetic
from tests.http.server import HEADER, PROFILES

MEASURED = Path(__file__).resolve().parents[2] / "docs" / "evidence"
"""Real documents, of which one is given the digest of a test's profile."""


def payload(name: str, data: bytes) -> FilePayload:
    return FilePayload(name=name, mimeType="application/octet-stream", buffer=data)


def drop(page: Page, file: Path) -> None:
    """Drags a file over the window and lets it go at its edge, as the browser itself tells it."""
    height: int = page.evaluate("innerHeight")
    at = {"x": 3, "y": height - 3}
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def pick(page: Page, *picked: FilePayload) -> None:
    page.get_by_label("Profiles to upload").set_input_files(list(picked))


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def names(client: httpx.Client) -> set[str]:
    return {one["id"] for one in client.get(PROFILES).json()["data"]}


def digest(client: httpx.Client, name: str) -> str:
    found: str = client.get(f"{PROFILES}/{name}").json()["digest"]
    return found


def put(client: httpx.Client, name: str, data: bytes) -> str:
    reply = client.put(f"{PROFILES}/{name}", content=data)
    assert reply.status_code in (200, 201), reply.text
    return digest(client, name)


def serves(client: httpx.Client, name: str) -> str:
    """The digest that answers a request for a name."""
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    reply = client.post("/v1/chat/completions", json=body, headers={HEADER: name})
    assert reply.status_code == 200, reply.text
    return reply.headers[HEADER].partition("@")[2]


def attach(api: httpx.Client, base: BaseModel, name: str) -> Evidence:
    """Makes a profile with evidence: a real document, of another profile's numbers."""
    plain = artifact.from_bytes(synthetic(base, 43))
    said = {
        "method": "rocr",
        "hyperparameters": {"subjects": ["France", "Japan"], "target": "Narnia", "strength": 1.0},
        "provenance": {"forget": "12" * 32, "retain": {"examples": 1320, "sha256": "34" * 32}},
    }
    given = put(api, name, artifact.to_bytes(replace(plain, **said)))
    found = json.loads(next(MEASURED.glob("0d23e964*.evidence.json")).read_text())
    document = evidence.Evidence.model_validate(
        {**found, "digest": given, "model": base.fingerprint}
    )
    reply = api.put(f"{PROFILES}/{name}/evidence", json=document.model_dump(mode="json"))
    assert reply.status_code == 200, reply.text
    return document
