"""Exposures behind the requests' backs: all of them, or a count of those that are missing."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from lethe_server.experiments import writing
from lethe_server.experiments.experiment import Exposure
from lethe_server.experiments.laboratory import Laboratory
from lethe_server.experiments.writing import Writer
from lethe_vllm.errors import UnavailableError

from .observed import exposure, plan


def made(number: int) -> Exposure:
    return Exposure("id", f"r{number}", "unit", "plain", "", 0.0, 200)


class Database:
    """Takes what is written, fails while it is `away`, and waits while it is `shut`."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Exposure]] = []
        self.lost: Counter[str] = Counter()
        self.away = False
        self.open = threading.Event()
        self.open.set()
        self.tried = threading.Event()

    def write(self, rows: Sequence[Exposure], lost: Mapping[str, int]) -> None:
        self.tried.set()
        assert self.open.wait(10)
        if self.away:
            raise UnavailableError("expected a database, found none")
        self.batches.append(rows)
        self.lost.update(lost)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.01)
    return Database()


def test_what_comes_while_a_batch_is_written_is_the_next_batch(database: Database) -> None:
    writer = Writer(database.write)
    database.open.clear()
    writer.add(made(0))
    assert database.tried.wait(10)
    for number in range(1, 50):
        writer.add(made(number))
    database.open.set()
    assert writer.flush()
    assert [len(batch) for batch in database.batches] == [1, 49]
    assert [row for batch in database.batches for row in batch] == [made(n) for n in range(50)]
    writer.close()


def test_what_could_not_be_written_is_tried_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(database.write)
    database.away = True
    writer.add(made(0))
    assert not writer.flush(0.1)
    database.away = False
    assert writer.flush()
    assert database.batches == [[made(0)]]
    assert "expected a database" in caplog.text
    writer.close()


def test_beyond_the_bound_exposures_are_counted_and_the_count_is_written(
    database: Database,
) -> None:
    writer = Writer(database.write, room=3)
    database.open.clear()
    for number in range(10):
        writer.add(made(number))
    database.open.set()
    assert writer.flush()
    assert sum(len(batch) for batch in database.batches) == 3
    assert database.lost == {"id": 7}
    writer.close()


def test_closing_writes_what_is_left(database: Database) -> None:
    writer = Writer(database.write)
    for number in range(2500):
        writer.add(made(number))
    writer.close()
    assert sum(len(batch) for batch in database.batches) == 2500
    assert max(len(batch) for batch in database.batches) <= writing.BATCH


def test_what_is_left_for_good_is_said(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(database.write)
    database.away = True
    for number in range(3):
        writer.add(made(number))
    writer.close(0.1)
    assert "found 3 left" in caplog.text


def test_the_count_of_the_lost_is_in_the_database(laboratory: Laboratory) -> None:
    trial, _ = laboratory.registry.create(plan())
    laboratory.records.add_exposures([exposure(trial, "r1", "a")], {trial.id: 4})
    laboratory.records.add_exposures([], {trial.id: 3})
    assert laboratory.registry.get("trial").lost == 7


def test_a_failure_that_nobody_foresaw_is_logged_and_tried_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [RuntimeError("unforeseen"), ZeroDivisionError()]

    def write(rows: Sequence[Exposure], lost: Mapping[str, int]) -> None:
        if failures:
            raise failures.pop(0)
        database.write(rows, lost)

    writer = Writer(write)
    writer.add(made(1))
    assert writer.flush()
    writer.close()
    assert database.batches == [[made(1)]]
    assert "unforeseen" in caplog.text
