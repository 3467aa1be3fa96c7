"""What a method can be told: a frozen dataclass whose fields say their meaning, range and source.

    @dataclass(frozen=True)
    class Config(Hyperparameters):
        ridge: float = hyper(0.01, "added to C's diagonal, as a share of its mean", low=0, ...)

Checked here once for all methods; the command line makes its options from the same fields.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from lethe_projections.errors import FitError


@dataclass(frozen=True)
class About:
    """What a field means.

    Attributes:
        meaning: one line, with the unit if there is one.
        low, high: the range of a number; `above` excludes `low` itself.
        choices: the only values of a text.
        source: where the default comes from: paper and section, or a measurement.
    """

    meaning: str
    source: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    choices: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """Meaning, range and source as one line."""
        return f"{self.meaning}{self.range}; source: {self.source}"

    @property
    def range(self) -> str:
        """` (above 0, up to 1)`, or nothing."""
        if self.choices:
            return f" ({', '.join(self.choices)})"
        parts = [] if self.low is None else [f"{'above' if self.above else 'from'} {self.low:g}"]
        parts += [] if self.high is None else [f"up to {self.high:g}"]
        return f" ({', '.join(parts)})" if parts else ""

    def admits(self, value: Any) -> bool:
        """Whether a value, or every one of a tuple, lies in the range; None always does."""
        if isinstance(value, tuple):
            return all(self.admits(one) for one in value)
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return math.isfinite(value) and self._within(value)

    def _within(self, value: float) -> bool:
        low = self.low is None or (value > self.low if self.above else value >= self.low)
        return low and (self.high is None or value <= self.high)


def hyper(default: Any, meaning: str, *, source: str, **limits: Any) -> Any:
    """A dataclass field with its `About`."""
    return field(default=default, metadata={"about": About(meaning, source, **limits)})


@dataclass(frozen=True)
class Hyperparameters:
    """The base of every method's `Config`.

    Raises:
        FitError: a value is outside its field's range.
    """

    def __post_init__(self) -> None:
        for one in fields(self):
            about, value = one.metadata["about"], getattr(self, one.name)
            if not about.admits(value):
                raise FitError(
                    f"{one.name}: expected{about.range}, found {value!r:.80}; "
                    f"the default is {one.default!r}"
                )


def checked_layers(layers: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Returns `layers` if they rise and the model has them.

    Raises:
        FitError: none given, out of order, twice, or out of range.
    """
    if not layers or list(layers) != sorted(set(layers)) or layers[0] < 0 or layers[-1] >= depth:
        raise FitError(
            f"layers: expected rising numbers from 0 to {depth - 1}, found {layers}; "
            "count blocks from 0"
        )
    return layers
