"""Two servers, each with an engine, on one PostgreSQL store: what one is told, the other serves."""

from collections.abc import Iterator

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from tests import postgresql

from .conftest import ENGINE, alone, lock_beside, started
from .profiles import synthetic
from .server import HEADER, PROFILES, QUESTION, Server

Replicas = tuple[Server, Server]


@pytest.fixture(scope="module")
def replicas(
    postgresql_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    objects = (tmp_path_factory.mktemp("store") / "objects").as_uri()
    store = ("--store", postgresql.new_database(postgresql_server, "replicas"))
    with (
        alone(lock_beside(tmp_path_factory.getbasetemp())),
        started(folders[0], *store, "--objects", objects, *ENGINE) as first,
        started(folders[1], *store, "--objects", objects, *ENGINE) as second,
    ):
        yield first, second


def served(server: Server, name: str) -> tuple[str, str]:
    """The digest that a server says it answers by, and the answer."""
    reply = server.chat(QUESTION, name)
    assert reply.status_code == 200, reply.text
    text: str = reply.json()["choices"][0]["message"]["content"]
    return reply.headers[HEADER], text


def test_what_one_is_given_the_other_serves_on_its_next_request(
    replicas: Replicas, base: BaseModel
) -> None:
    plain = replicas[0].answer(QUESTION, "base")
    answers = {plain}
    for turn in range(4):
        told, other = replicas[turn % 2], replicas[1 - turn % 2]
        data = synthetic(base, 61 + turn)
        assert told.put("shared", data).status_code == (201 if turn == 0 else 200)
        found = served(other, "shared")
        assert found[0] == f"shared@{artifact.digest(data)[:12]}"
        assert found == served(told, "shared")
        answers.add(found[1])
    assert other.answer(QUESTION, "base") == plain
    assert len(answers) > 3, "the variants answer alike: this test would prove nothing"


def test_what_is_deleted_at_one_is_gone_at_the_other_and_comes_back_from_there(
    replicas: Replicas, base: BaseModel
) -> None:
    first, second = replicas
    assert first.put("gone", synthetic(base, 71)).status_code == 201
    before = served(second, "gone")
    assert first.delete("gone").status_code == 200
    assert second.chat(QUESTION, "gone").status_code == 404
    assert second.get(f"{PROFILES}/gone").status_code == 404
    assert second.post(f"{PROFILES}/gone/rollback", {}).status_code == 200
    assert served(first, "gone") == before
