"""Places for labels beside points, some of which are at the same place. Knows no drawing."""

from collections.abc import Sequence


def spread(wanted: Sequence[float], low: float, high: float, apart: float) -> list[float]:
    """Places near those wanted, in the same order, none closer than `apart` to another.

    Args:
        wanted: rising.
        low: the least place that there is.
        high: the greatest; exceeded if so many have no room.
        apart: between two.
    """
    places: list[float] = []
    for one in wanted:
        places.append(max(one, low, places[-1] + apart if places else low))
    ceiling = max(high, low + apart * (len(places) - 1))
    for index in reversed(range(len(places))):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - apart
    return places
