"""The table of names, on SQLite and on PostgreSQL: its history, and processes that share it."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from lethe_vllm.errors import (
    ConflictError,
    PreconditionError,
    UnavailableError,
    UnknownProfileError,
)
from lethe_vllm.store.database import open_database
from lethe_vllm.store.meanings import DELETE, FILE, ROLLBACK, Change, Expected
from lethe_vllm.store.names import Names
from lethe_vllm.store.tables import metadata, state

BASE = "f" * 64
FIRST, SECOND, THIRD = (letter * 64 for letter in "abc")


@pytest.fixture
def names(database_url: str) -> Iterator[Names]:
    engine = open_database(database_url)
    yield Names(engine, BASE)
    engine.dispose()


def again(names: Names) -> Names:
    """What another process sees."""
    return Names(open_database(names._engine.url.render_as_string(hide_password=False)), BASE)


def test_a_name_means_what_it_was_last_given(names: Names) -> None:
    assert names.find("france") is None
    names.change("france", Change(FIRST))
    named = names.change("france", Change(SECOND))
    assert (named.digest, named.version) == (SECOND, 2)
    assert names.find("france") == named == again(names).find("france")
    assert names.holds(SECOND)
    assert not names.holds(FIRST)


def test_a_deleted_name_means_nothing_and_keeps_its_history(names: Names) -> None:
    names.change("france", Change(FIRST, source="s3://a", author="anna"))
    names.change("france", Change(None, DELETE, author="ben"))
    assert names.find("france") is None
    assert names.all() == {}
    with pytest.raises(UnknownProfileError, match="found 'france'"):
        names.change("france", Change(None, DELETE))
    names.change("france", Change(FIRST, ROLLBACK))
    seen = [
        (one.version, one.digest, one.action, one.source, one.author)
        for one in again(names).history("france")
    ]
    assert seen == [
        (3, FIRST, "rollback", "", ""),
        (2, None, "delete", "", "ben"),
        (1, FIRST, "put", "s3://a", "anna"),
    ]
    times = [one.created for one in names.history("france")]
    assert times == sorted(times, reverse=True)
    assert abs(times[0] - time.time()) < 60


def test_a_pinned_name_changes_for_nobody_until_it_is_let_go(names: Names) -> None:
    names.change("france", Change(FIRST))
    assert names.mark("france", pinned=True).pinned
    for change in (Change(SECOND), Change(None, DELETE), Change(SECOND, ROLLBACK)):
        with pytest.raises(ConflictError, match="unpin it first"):
            again(names).change("france", change)
    assert names.find("france") == again(names).find("france")
    assert len(names.history("france")) == 1
    names.mark("france", pinned=False)
    assert names.change("france", Change(SECOND)).digest == SECOND


def test_a_change_that_expects_a_meaning_is_made_at_that_one_alone(names: Names) -> None:
    free, first = Expected(None), Expected(FIRST)
    with pytest.raises(PreconditionError, match=r"expected it to mean a{12}, found nothing"):
        names.change("france", Change(SECOND, expected=first))
    names.change("france", Change(FIRST, expected=free))
    for change in (Change(SECOND, expected=free), Change(FIRST, expected=free)):
        with pytest.raises(PreconditionError, match=r"expected it to mean nothing, found a{12}"):
            again(names).change("france", change)
    assert names.change("france", Change(SECOND, expected=first)).digest == SECOND
    with pytest.raises(PreconditionError):
        names.change("france", Change(THIRD, expected=first))
    names.change("france", Change(None, DELETE))
    assert names.change("france", Change(THIRD, expected=free)).version == 4


def test_of_processes_that_expect_the_same_one_changes_the_name(names: Names) -> None:
    each = [again(names) for _ in range(8)]

    def change(at: int) -> bool:
        try:
            each[at].change("france", Change(f"{at:064x}", expected=Expected(None)))
        except PreconditionError:
            return False
        return True

    with ThreadPoolExecutor(len(each)) as pool:
        assert sum(pool.map(change, range(len(each)))) == 1
    assert len(names.history("france")) == 1


def test_labels_stay_with_a_name_whatever_it_means(names: Names) -> None:
    names.change("france", Change(FIRST))
    names.mark("france", labels={"ticket": "42"})
    named = names.change("france", Change(SECOND))
    assert (named.labels, named.pinned, named.version) == ({"ticket": "42"}, False, 2)
    with pytest.raises(UnknownProfileError):
        names.mark("spain", labels={})


def test_names_of_another_base_model_are_others(names: Names) -> None:
    names.change("france", Change(FIRST))
    other = Names(names._engine, "0" * 64)
    assert other.all() == {}
    other.change("france", Change(SECOND))
    assert names.find("france") is not None
    assert names.find("france") != other.find("france")
    assert len(names.history("france")) == 1


def test_processes_agree_at_the_next_look(names: Names) -> None:
    other = again(names)
    for digest in (FIRST, SECOND):
        names.change("france", Change(digest))
        found = other.find("france")
        assert found is not None
        assert found.digest == digest
    names.change("france", Change(None, DELETE))
    assert other.find("france") is None


def test_what_others_changed_is_told_once_and_what_one_changed_oneself_is_not(
    names: Names,
) -> None:
    other = again(names)
    for name in ("theirs", "mine", "file"):
        names.change(name, Change(FIRST))
    other.find("mine")
    names.change("mine", Change(SECOND))
    assert names.take_replaced() == []
    other.change("theirs", Change(THIRD))
    names.find("theirs")
    assert names.take_replaced() == [FIRST]
    assert names.take_replaced() == []
    names.change("file", Change(SECOND, FILE))
    assert names.take_replaced() == [FIRST], "nobody waits for a file's change"


def test_a_change_that_is_overtaken_returns_what_it_made_and_is_told(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, write = again(names), names._catch_up
    looks: list[int] = []

    def overtaken() -> None:
        looks.append(1)
        if len(looks) == 2:  # between the commit and the look that follows it
            other.change("france", Change(SECOND))
        write()

    monkeypatch.setattr(names, "_catch_up", overtaken)
    assert names.change("france", Change(FIRST)).digest == FIRST
    found = names.find("france")
    assert found is not None
    assert found.digest == SECOND
    assert names.take_replaced() == [FIRST]


def _change_often(url: str, name: str, first: int, times: int) -> None:
    mine = Names(open_database(url), BASE)
    for number in range(first, first + times):
        mine.change(name, Change(f"{number:064x}"))


def test_changes_of_many_processes_and_threads_are_each_a_version(names: Names) -> None:
    url = names._engine.url.render_as_string(hide_password=False)
    start = multiprocessing.get_context("spawn").Process
    children = [start(target=_change_often, args=(url, "france", 100 * n, 20)) for n in (1, 2)]
    for child in children:
        child.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: names.change("france", Change(f"{n:064x}")), range(20)))
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    numbers = [one.version for one in names.history("france")]
    assert numbers == list(range(60, 0, -1))
    found = names.find("france")
    assert found is not None
    assert found.version == 60


def test_the_same_meaning_again_is_no_change_even_of_a_pinned_name(names: Names) -> None:
    first = names.change("france", Change(FIRST))
    names.mark("france", pinned=True)
    assert names.change("france", Change(FIRST)).version == first.version
    assert names.change("france", Change(FIRST, FILE), identity="1").version == first.version
    assert len(names.history("france")) == 1
    assert names.files() == {"france": ("1", 1)}


def test_a_change_that_dies_half_way_changes_nothing(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names.change("france", Change(FIRST))

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(names, "_note_file", die)
        with pytest.raises(RuntimeError, match="killed"):
            names.change("france", Change(SECOND), identity="1")
    assert names.find("france") == before == again(names).find("france")
    assert len(names.history("france")) == 1
    assert names.change("france", Change(SECOND)).version == 2


def test_a_file_that_another_process_took_in_makes_no_second_version(names: Names) -> None:
    names.change("france", Change(FIRST, FILE), identity="1-2-3")
    again(names).change("france", Change(FIRST, FILE), identity="1-2-3")
    assert len(names.history("france")) == 1
    assert names.files() == {"france": ("1-2-3", 1)}


def test_a_database_that_is_gone_is_an_error_that_says_so(names: Names) -> None:
    names.change("france", Change(FIRST))
    with names._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE lethe_names")
    for act in (lambda: names.find("france"), lambda: names.change("france", Change(SECOND))):
        with pytest.raises(UnavailableError, match="store: expected"):
            act()


def test_look_ups_go_on_while_a_change_waits_for_another_processs(names: Names) -> None:
    before = names.change("france", Change(FIRST))
    with ThreadPoolExecutor(2) as pool:
        with again(names)._engine.begin() as connection:
            connection.execute(update(state).values(revision=state.c.revision + 1))
            change = pool.submit(names.change, "france", Change(SECOND))
            while not names._writing.locked():
                pass
            assert pool.submit(names.find, "france").result(10) == before
            assert not change.done()
        assert change.result(60).digest == SECOND
    found = names.find("france")
    assert found is not None
    assert found.digest == SECOND


def test_a_store_that_is_restored_from_a_backup_is_noticed(names: Names) -> None:
    first = names.change("france", Change(FIRST))
    tables = metadata.sorted_tables
    with names._engine.connect() as connection:
        backup = [connection.execute(select(table)).mappings().all() for table in tables]
    names.change("france", Change(SECOND))
    names.change("spain", Change(THIRD))
    with again(names)._engine.begin() as connection:
        for table in tables:
            connection.execute(table.delete())
    with pytest.raises(UnavailableError, match="about to be restored"):
        names.find("france")
    with again(names)._engine.begin() as connection:
        connection.execute(state.delete())
        for table, rows in zip(tables, backup, strict=True):
            for row in rows:
                connection.execute(table.insert().values(**row))
    assert names.find("france") == first
    assert names.find("spain") is None
    assert sorted(names.take_replaced()) == [SECOND, THIRD]
    assert names.change("france", Change(THIRD)).version == 2
    assert names.take_replaced() == []
