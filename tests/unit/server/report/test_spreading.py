"""Labels do not lie on each other."""

import pytest

from lethe_server.report.plots.spreading import spread


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([], []),
        ([0.5], [0.5]),
        ([-1.0, 2.0], [0.0, 1.0]),
        ([0.0, 0.0, 0.0], [0.0, 0.25, 0.5]),
        ([1.0, 1.0], [0.75, 1.0]),
        ([0.0] * 6, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]),
    ],
)
def test_places_are_apart_and_near(wanted: list[float], places: list[float]) -> None:
    assert spread(wanted, 0.0, 1.0, 0.25) == places
