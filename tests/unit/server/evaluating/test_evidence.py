"""The document: how it is read, shown, attached, and told by a server."""

import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from lethe_projections import artifact
from lethe_projections.errors import ArtifactError
from lethe_server import inspecting, model_card
from lethe_server.evaluating import attaching, evidence, showing

from ..fakes import BASE, Server, make
from .documents import evidence as document

URL = "/v1/unlearning/profiles/france"
OLD, NEW = make(1), make(2)
DIGEST, OTHER = artifact.digest(OLD), artifact.digest(NEW)
FOUND = document(DIGEST, BASE.fingerprint)


def put(server: Server, body: Any, **more: Any) -> httpx.Response:
    return server.request("PUT", f"{URL}/evidence", content=body, **more)


@pytest.fixture
def published(server: Server) -> Server:
    server.request("PUT", URL, content=OLD)
    return server


def test_what_is_written_is_read_again() -> None:
    data = evidence.to_bytes(FOUND)
    assert evidence.parse(data) == FOUND
    assert evidence.to_bytes(evidence.parse(data)) == data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "found Expecting"),
        (b'{"evidence": 2}', "mistake"),
        (evidence.to_bytes(FOUND).replace(b'"suites"', b'"suits"'), "at suites: Field required"),
        (evidence.to_bytes(FOUND).replace(b"0.25", b"NaN"), "NaN is not a JSON number"),
        (b" " * (evidence.MAX_BYTES + 1), "expected at most 262144 bytes"),
    ],
)
def test_what_is_no_evidence_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        evidence.parse(data)


def test_a_server_shows_what_was_uploaded(published: Server) -> None:
    reply = put(published, evidence.to_bytes(FOUND))
    assert (reply.status_code, reply.json()) == (200, FOUND.model_dump(mode="json"))
    assert published.request("GET", URL).json()["evidence"] == reply.json()


def test_what_is_uploaded_goes_before_a_file_that_was_there(published: Server) -> None:
    file = Path(published.serving.catalogue.folder or "") / evidence.file_name(DIGEST)
    file.write_bytes(evidence.to_bytes(FOUND.model_copy(update={"engine": "older"})))
    assert published.request("GET", URL).json()["evidence"]["engine"] == "older"
    put(published, evidence.to_bytes(FOUND))
    assert published.request("GET", URL).json()["evidence"]["engine"] == "vllm 0.0"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (evidence.to_bytes(document(OTHER, BASE.fingerprint)), 409, "evaluate what the name means"),
        (evidence.to_bytes(document(DIGEST, "0" * 64)), 409, "expected the model abababababab"),
        (b"{}", 400, "as 'lethe eval' writes it"),
        (b" " * (evidence.MAX_BYTES + 1), 413, "at most 262144"),
    ],
)
def test_what_is_no_evidence_of_the_profile_changes_nothing(
    body: bytes, status: int, says: str, published: Server
) -> None:
    reply = put(published, body)
    assert reply.status_code == status
    assert says in reply.json()["error"]["message"]
    assert published.request("GET", URL).json()["evidence"] is None


def test_evidence_of_an_unknown_name_is_a_404(server: Server) -> None:
    assert put(server, evidence.to_bytes(FOUND)).status_code == 404


def test_another_profiles_evidence_under_the_digest_is_not_shown(published: Server) -> None:
    data = evidence.to_bytes(document(OTHER, BASE.fingerprint))
    published.serving.catalogue.put_evidence(DIGEST, data)
    assert published.request("GET", URL).json()["evidence"] is None


def shown(description: dict[str, Any]) -> str:
    output = io.StringIO()
    inspecting.show(description, Console(file=output, width=200))
    return output.getvalue()


def test_a_file_is_inspected_with_what_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(OLD)
    assert inspecting.described(file)["evidence"] is None
    attaching.put_beside(file, FOUND)
    text = shown(inspecting.described(file))
    assert "towns 1: worst form prefix, recovered 0.250; neighbours kept 0.900" in text
    assert "0.100 to 0.400" in text
    assert "left out: retain text: it has scopes" in text


def test_wrong_evidence_beside_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(OLD)
    (tmp_path / evidence.file_name(DIGEST)).write_bytes(
        evidence.to_bytes(document(OTHER, BASE.fingerprint))
    )
    with pytest.raises(ArtifactError, match=rf"{DIGEST}.*expected that of {DIGEST[:12]}"):
        inspecting.described(file)


def test_a_table_says_of_how_many_prompts_the_base_recovers_some() -> None:
    [suite] = FOUND.suites
    asked = [suite.forget[0].model_copy(update={"asked": 11})]
    found = FOUND.model_copy(update={"suites": [suite.model_copy(update={"forget": asked})]})
    assert evidence.parse(evidence.to_bytes(found)) == found
    assert "| prefix | 0.250 | 0.100 to 0.400 | 8 of 11 | 1.000 |" in showing.markdown(found)
    output = io.StringIO()
    showing.show(found, Console(file=output, width=200))
    assert "8 of 11" in output.getvalue()


def test_a_document_from_before_that_was_counted_is_still_read() -> None:
    assert b'"asked": null,' in evidence.to_bytes(FOUND)
    before = b"\n".join(
        line for line in evidence.to_bytes(FOUND).splitlines() if b'"asked"' not in line
    )
    assert evidence.parse(before) == FOUND


def test_a_model_card_has_it_as_tables() -> None:
    card = model_card.text(artifact.from_bytes(OLD), DIGEST, FOUND)
    assert "* towns 1: worst form prefix, recovered 0.250" in card
    assert "| prefix | 0.250 | 0.100 to 0.400 | 8 | 1.000 | 0.050 | recovered / known |" in card
    assert showing.markdown(FOUND) in card
    assert "`lethe eval` measures" in model_card.text(artifact.from_bytes(OLD), DIGEST, None)
