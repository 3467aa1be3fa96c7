"""Experiments and their records in a database, on SQLite and on PostgreSQL."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.pool import QueuePool

from lethe_server.experiments import pages, tables
from lethe_server.experiments.experiment import Experiment, UnknownExperimentError
from lethe_server.experiments.laboratory import Laboratory
from lethe_server.experiments.records import Measured, Served
from lethe_vllm.errors import ConflictError, UnavailableError
from lethe_vllm.store.database import open_database

from .observed import BASE, exposure, outcome, plan


def test_an_experiment_is_the_same_after_the_database_is_opened_again(
    laboratory: Laboratory, database_url: str
) -> None:
    made, is_new = laboratory.registry.create(plan())
    laboratory.records.add_exposures([exposure(made, "r1", "a")], {})
    laboratory.close()
    reopened = Laboratory.open(open_database(database_url), BASE)
    assert is_new
    other = Laboratory.open(open_database(database_url), "e" * 64)
    assert other.registry.list() == []
    assert other.registry.create(plan())[1], "another base model's experiments are its own"
    other.close()
    assert reopened.registry.get("trial") == made
    assert reopened.registry.list() == [made]
    assert reopened.records.units(made) == {"plain": 1}
    reopened.close()


def test_the_same_plan_again_changes_nothing_and_another_is_refused(
    laboratory: Laboratory,
) -> None:
    first, _ = laboratory.registry.create(plan())
    assert laboratory.registry.create(plan()) == (first, False)
    for other in (plan(profile="spain"), plan(control="treated")):
        with pytest.raises(ConflictError, match="cannot be changed"):
            laboratory.registry.create(other)
    assert laboratory.registry.list() == [first]


def test_of_many_who_create_it_at_once_one_does(laboratory: Laboratory) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: laboratory.registry.create(plan()), range(24)))
    assert sum(is_new for _, is_new in found) == 1
    assert len({experiment.salt for experiment, _ in found}) == 1


def test_many_processes_may_make_the_tables_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Laboratory.open(open_database(database_url), BASE), range(8)))
    names = sqlalchemy.inspect(open_database(database_url), BASE).get_table_names()
    assert set(names) > {f"lethe_{one}" for one in ("experiments", "arms", "exposures", "outcomes")}


def test_a_stopped_experiment_keeps_when_it_stopped(laboratory: Laboratory) -> None:
    running, _ = laboratory.registry.create(plan())
    stopped = laboratory.registry.stop("trial")
    assert (running.status, stopped.status) == ("running", "stopped")
    assert laboratory.registry.stop("trial") == stopped == laboratory.registry.get("trial")


@pytest.mark.parametrize("method", ["get", "stop", "delete"])
def test_what_is_not_there_is_an_error(laboratory: Laboratory, method: str) -> None:
    with pytest.raises(UnknownExperimentError, match="nobody"):
        getattr(laboratory.registry, method)("nobody")


def test_an_exposure_counts_once_by_its_request(laboratory: Laboratory) -> None:
    made, _ = laboratory.registry.create(plan())
    rows = [
        exposure(made, "r1", "a"),
        exposure(made, "r2", "a", status=503),
        exposure(made, "r3", "b", "treated"),
    ]
    for _ in range(2):
        laboratory.records.add_exposures(rows, {})
    assert laboratory.records.served(made) == [
        Served("plain", "", 2, 1),
        Served("treated", "ab" * 32, 1, 0),
    ]
    assert laboratory.records.units(made) == {"plain": 1, "treated": 1}


def test_outcomes_are_averaged_within_a_unit_and_count_once(laboratory: Laboratory) -> None:
    made, _ = laboratory.registry.create(plan())
    exposed = [exposure(made, "r1", "a"), exposure(made, "r2", "b", "treated")]
    laboratory.records.add_exposures([*exposed, exposure(made, "r3", "a")], {})
    told = [
        outcome(made, "1", "a", "stars", 1.0),
        outcome(made, "2", "a", "stars", 4.0),
        outcome(made, "3", "b", "stars", 3.0),
        outcome(made, "4", "a", "liked", True),
        outcome(made, "5", "c", "liked", True),
    ]
    assert laboratory.records.add_outcomes(made, told) == 5
    assert laboratory.records.add_outcomes(made, told[:2]) == 0
    assert laboratory.records.measured(made) == [
        Measured("plain", "liked", 1.0, 1, True),
        Measured("plain", "stars", 2.5, 2, False),
        Measured("treated", "stars", 3.0, 1, False),
    ]
    assert laboratory.records.unexposed(made) == 1


def test_the_unit_behind_a_request_is_known_once_it_was_exposed(laboratory: Laboratory) -> None:
    made, _ = laboratory.registry.create(plan())
    laboratory.records.add_exposures([exposure(made, "r1", "a")], {})
    assert laboratory.records.units_of(made, ["r1"]) == {"r1": "a" * 64}
    with pytest.raises(UnknownExperimentError, match="r2"):
        laboratory.records.units_of(made, ["r1", "r2"])


def test_a_name_that_is_used_again_starts_empty(laboratory: Laboratory) -> None:
    first, _ = laboratory.registry.create(plan())
    kept, _ = laboratory.registry.create(plan("other"))
    rows = [exposure(first, "r1", "a"), exposure(kept, "r1", "a")]
    laboratory.records.add_exposures(rows, {})
    laboratory.records.add_outcomes(first, [outcome(first, "1", "a", "liked", True)])
    laboratory.registry.delete("trial")
    again, is_new = laboratory.registry.create(plan())
    assert is_new and again.salt != first.salt
    # One of the deleted experiment comes late: it does not keep the others from being written.
    laboratory.records.add_exposures([exposure(first, "r2", "b"), exposure(kept, "r2", "b")], {})
    assert laboratory.records.units(again) == laboratory.records.units(first) == {}
    assert laboratory.records.measured(first) == []
    assert laboratory.records.units(kept) == {"plain": 2}


def test_an_export_has_every_record(laboratory: Laboratory) -> None:
    made, _ = laboratory.registry.create(plan())
    laboratory.records.add_exposures([exposure(made, "r1", "a")], {})
    told = [outcome(made, "1", "a", "liked", True), outcome(made, "2", "z", "stars", 2.5)]
    laboratory.records.add_outcomes(made, told)
    found = [
        {name: value for name, value in row.items() if value is not None}
        for row in laboratory.records.export(made)
    ]
    shown = {"record": "exposure", "time": 1000.5, "unit": "a" * 64, "arm": "plain"}
    measured = {"record": "outcome", "time": 1001.5}
    assert found == [
        {**shown, "request_id": "r1", "digest": "", "status": 200},
        {
            **measured,
            **{"unit": "a" * 64, "arm": "plain"},
            **{"id": "1", "metric": "liked", "value": 1.0, "is_bool": True},
        },
        {
            **measured,
            "unit": "z" * 64,
            **{"id": "2", "metric": "stars", "value": 2.5, "is_bool": False},
        },
    ]


def test_tables_that_are_gone_are_an_error_of_the_servers(laboratory: Laboratory) -> None:
    tables.metadata.drop_all(laboratory.registry.engine)
    with pytest.raises(UnavailableError, match="expected its database to answer"):
        laboratory.registry.get("trial")


def records(laboratory: Laboratory, made: Experiment, count: int) -> list[str]:
    """As many exposures and outcomes; what an export shall say of them, in order."""
    # Many of one moment, and in another order than their ids.
    times = {str(number): float(number * 7 % 5) for number in range(count)}
    laboratory.records.add_exposures(
        [replace(exposure(made, key, "a"), time=time) for key, time in times.items()], {}
    )
    laboratory.records.add_outcomes(
        made,
        [replace(outcome(made, key, "a", "liked", 1.0), time=time) for key, time in times.items()],
    )
    return sorted(times, key=lambda key: (times[key], key)) * 2


def keys(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [row.get("request_id") or row["id"] for row in rows]


@pytest.mark.parametrize("size", [1, 7, 20, 21])
def test_an_export_in_pages_has_every_record_once_and_in_order(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(pages, "PAGE", size)
    made, _ = laboratory.registry.create(plan())
    other, _ = laboratory.registry.create(plan("other"))
    records(laboratory, other, 30)
    expected = records(laboratory, made, 20)
    assert keys(laboratory.records.export(made)) == expected


def test_an_export_tells_what_was_there_when_it_began(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 3)
    made, _ = laboratory.registry.create(plan())
    expected = records(laboratory, made, 10)
    export = laboratory.records.export(made)
    first = next(export)
    laboratory.records.add_exposures([exposure(made, "later", "b")], {})
    laboratory.records.add_outcomes(made, [outcome(made, "later", "b", "liked", True)])
    assert keys([first, *export]) == expected
    assert keys(laboratory.records.export(made)).count("later") == 2


def test_an_export_whose_experiment_is_deleted_meanwhile_does_not_seem_whole(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 3)
    made, _ = laboratory.registry.create(plan())
    records(laboratory, made, 10)
    export = laboratory.records.export(made)
    next(export)
    laboratory.registry.delete("trial")
    with pytest.raises(UnknownExperimentError, match="not all"):
        list(export)


def test_who_reads_an_export_slowly_keeps_no_connection(laboratory: Laboratory) -> None:
    made, _ = laboratory.registry.create(plan())
    records(laboratory, made, 2)
    exports = [laboratory.records.export(made) for _ in range(20)]
    assert [next(export)["request_id"] for export in exports] == ["0"] * 20
    pool = laboratory.registry.engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == 0


def test_where_every_connection_is_in_use_the_error_says_so(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = laboratory.registry.engine
    monkeypatch.setattr(engine.pool, "_timeout", 0)
    with ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(engine.connect())
        with pytest.raises(UnavailableError, match=r"all that one process opens in use"):
            laboratory.registry.get("trial")
