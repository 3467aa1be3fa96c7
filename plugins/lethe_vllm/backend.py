"""What edits activations on a device: by PyTorch's products, or by the Triton kernel."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lethe_projections.projector import Projector, Site

Edits = Mapping[Site, Sequence[Projector]]
"""What one slot does, as this rank applies it."""

Amounts = dict[str, int]
"""Of what a device holds little of, by name: bytes, rows, slots."""


class Backend(Protocol):
    """Factors by slot, and the step that uses them."""

    def limits(self) -> Amounts:
        """How much all slots together may take."""

    def needs(self, slots: Iterable[Edits]) -> Amounts:
        """How much of it these edits take, each in a slot of its own.

        Raises:
            UnavailableError: one alone is more than a slot can hold.
        """

    def put(self, slot: int, edits: Edits) -> None:
        """Makes edits resident in a free slot; all of them, or none on an error."""

    def drop(self, slot: int) -> None:
        """Frees a slot. No step under way uses it."""

    def begin(self, per_token: NDArray[np.int64] | None) -> None:
        """Lays out the next step.

        Args:
            per_token: [T] slot of each token, negative for the base; None to edit nothing.
        """

    def edit(self, y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
        """Edits the step's tokens of y in place; as the op in `edit.py`."""
