"""Two profiles in one request are served as the artifact that `lethe compose` makes of them."""

from collections.abc import Iterator

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.compose import compose

from .profiles import synthetic
from .server import HEADER, QUESTION, Server


@pytest.fixture(scope="module")
def digests(server: Server, base: BaseModel) -> Iterator[dict[str, str]]:
    """Two profiles with a site in common, what composes to, and one of rank past the bound."""
    data = {"left": synthetic(base, 41), "right": synthetic(base, 42)}
    data["both"] = artifact.to_bytes(compose([artifact.from_bytes(one) for one in data.values()]))
    for name, one in data.items():
        assert server.put(name, one).status_code == 201
    yield {name: artifact.digest(one) for name, one in data.items()}
    for name in data:
        server.delete(name)


def test_a_composition_is_the_artifact_composed_offline(
    server: Server, digests: dict[str, str]
) -> None:
    answers = {name: server.answer(QUESTION, name) for name in ("base", *digests)}
    assert len(set(answers.values())) == 4, "the edits must be told apart"
    for asked in ("left+right", "right+left", f"right@{digests['right'][:8]}+left"):
        reply = server.chat(QUESTION, asked)
        assert reply.headers[HEADER] == f"left+right@{digests['both'][:12]}"
        assert reply.json()["choices"][0]["message"]["content"] == answers["both"]


def test_a_composition_by_model_name_and_in_a_comparison(
    server: Server, digests: dict[str, str]
) -> None:
    whole = server.answer(QUESTION, "both")
    assert server.answer(QUESTION, model="smollm2:right+left") == whole
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24}
    compared = server.post("/v1/unlearning/compare", {**body, "profiles": ["base", "right+left"]})
    base, both = compared.json()["results"]
    assert both["text"] == whole != base["text"]
    assert (both["profile"], both["digest"]) == ("left+right", digests["both"])


@pytest.mark.parametrize(
    ("asked", "status"), [("left+nobody", 404), ("left+base", 400), ("left+right@00000000", 404)]
)
def test_a_composition_that_cannot_be_is_an_error(
    server: Server, digests: dict[str, str], asked: str, status: int
) -> None:
    reply = server.chat(QUESTION, asked)
    assert reply.status_code == status, reply.text
    assert "expected" in reply.json()["error"]["message"]
