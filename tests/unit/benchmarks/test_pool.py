"""In which order profiles are fitted."""

from benchmarks.methods import pool
from benchmarks.methods.cases import Fit


def chain(method: str, length: int) -> list[Fit]:
    fits: list[Fit] = []
    for number in range(length):
        fits.append(Fit(method, (), (str(number),), fits[-1] if fits else None))
    return fits


def test_what_others_wait_for_comes_first_and_each_after_the_one_before() -> None:
    long, short, alone = chain("a", 4), chain("b", 2), chain("c", 1)
    ordered = pool.in_order([*alone, *short[::-1], *long[::-1], *alone])
    assert ordered[:2] == long[:2]
    assert sorted(ordered, key=str) == sorted([*alone, *short, *long], key=str)
    assert all(ordered.index(fit) > ordered.index(fit.before) for fit in ordered if fit.before)


def test_a_fit_is_ready_once_the_one_before_is_neither_waiting_nor_running() -> None:
    first, second, third = chain("a", 3)
    assert pool.ready([first, second, third], []) == [first]
    assert pool.ready([second, third], [first]) == []
    assert pool.ready([second, third], []) == [second]
