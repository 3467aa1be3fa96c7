"""Which of a fixed number of places are free. Knows nothing of what is kept there."""

from collections.abc import Iterable

from lethe_vllm.errors import UnavailableError


class FreeList:
    """Places 0 to `size - 1`; a place that is given back is the next to be taken.

    Attributes:
        name: what the places hold, for errors.
        size: how many there are.
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._free = list(range(size))[::-1]

    @property
    def taken(self) -> int:
        """How many are in use."""
        return self.size - len(self._free)

    def check(self, count: int) -> None:
        """Raises an error unless `count` places are free.

        Raises:
            UnavailableError: they are not.
        """
        if count > len(self._free):
            raise UnavailableError(
                f"{self.name}: expected {count} free of {self.size}, found {len(self._free)}; "
                "remove a profile, or start the engine with room for more"
            )

    def take(self, count: int) -> list[int]:
        """Takes `count` places, in ascending order where none was given back yet.

        Raises:
            UnavailableError: so many are not free; none is taken.
        """
        self.check(count)
        return [self._free.pop() for _ in range(count)]

    def give_back(self, places: Iterable[int]) -> None:
        """Frees places that `take` returned."""
        self._free += sorted(places, reverse=True)
