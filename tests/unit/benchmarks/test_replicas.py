"""The load test notices a replica that is behind, and one that answers otherwise under load."""

from typing import Any

import httpx
import pytest

from benchmarks.replicas import measuring, report
from benchmarks.replicas.measuring import Replicas, WrongAnswerError
from lethe_projections import artifact

VERSIONS = (b"one", b"two", b"three", b"four")
DIGESTS = [artifact.digest(data)[:12] for data in VERSIONS]


class Store:
    """What the name means, which replicas share."""

    digest = ""


class Replica:
    """One server: current, or by so many changes behind."""

    def __init__(self, store: Store, behind: bool = False, wrong: bool = False) -> None:
        self.store, self.behind, self.wrong = store, behind, wrong
        self.status = 200
        self.client = httpx.Client(
            base_url="http://replica", transport=httpx.MockTransport(self.handle)
        )
        self.seen = ""

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.store.digest = artifact.digest(request.content)[:12]
            return httpx.Response(self.status)
        serving = self.seen if self.behind and self.seen else self.store.digest
        self.seen = self.store.digest
        tokens = [DIGESTS.index(serving) + 10 * self.wrong]
        answer = {"choices": [{"token_ids": tokens}]}
        return httpx.Response(
            self.status, json=answer, headers={measuring.HEADER: f"{measuring.NAME}@{serving}"}
        )


def swapped(*replicas: Replica) -> None:
    alone = {digest: [number] for number, digest in enumerate(DIGESTS)}
    both = Replicas([one.client for one in replicas], VERSIONS, alone)
    for turn in range(4):
        measuring._swap(both, turn)


def test_replicas_that_agree_pass() -> None:
    store = Store()
    swapped(Replica(store), Replica(store))


@pytest.mark.parametrize(
    ("different", "said"),
    [({"behind": True}, "profile: expected"), ({"wrong": True}, "answer of")],
)
def test_a_replica_that_is_behind_or_wrong_fails(different: dict[str, bool], said: str) -> None:
    store = Store()
    with pytest.raises(WrongAnswerError, match=said):
        swapped(Replica(store), Replica(store, **different))


def test_a_refused_put_fails() -> None:
    store = Store()
    refusing = Replica(store)
    refusing.status = 503
    with pytest.raises(WrongAnswerError, match="found 503"):
        swapped(refusing, Replica(store))


def test_the_section_says_what_was_measured() -> None:
    spread = {"low": 90.0, "median": 100.0, "high": 110.0, "size": 5}
    results: dict[str, Any] = {
        "replicas": 2, "rounds": 5, "swaps": 77, "requests": 1234, "tokens_per_second": spread,
        "ratio": {"low": 0.91, "median": 0.95, "high": 0.99, "size": 5},
        "environment": {"cores": 4, "usable_cores": 2, "processor": "x", "vllm": "1", "torch": "2"},
    }  # fmt: skip
    page = report.markdown(results)
    assert "| 77 |" in page
    assert "100 (90 to 110)" in page
    assert "0.95 (0.91 to 0.99)" in page
