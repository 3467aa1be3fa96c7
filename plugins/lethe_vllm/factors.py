"""Low-rank factors as the op multiplies with them: several edits of one site, joined or stacked.

Joined: the rows of several edits that one token gets. Stacked: edits of different variants, one
beside the other, ranks padded with zeros to the largest. Knows nothing of profiles and requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from lethe_projections.projector import Gate, Projector
from lethe_vllm.placement import Placement


@dataclass(frozen=True)
class Gates:
    """One gate for each row of a stack.

    In float32 whatever the model's dtype: the sign of a sum decides a hard threshold, and half
    precision would round it away.

    Attributes:
        w: [G, k, d_in].
        b: [G, k].
        hard: [G, k] bool; a row without a gate is hard with w = 0 and b = 1, always open.
    """

    w: Tensor
    b: Tensor
    hard: Tensor


@dataclass(frozen=True)
class Factors:
    """A stack of edits at one site, ranks padded with zeros to the largest.

    Attributes:
        A: [G, k, d_in].
        B: [G, k, d_out].
        a: [G, k], or None if no edit has a bias.
        gates: or None if no edit has one.
    """

    A: Tensor
    B: Tensor
    a: Tensor | None
    gates: Gates | None

    @property
    def bytes(self) -> int:
        """Memory of all tensors."""
        gates = () if self.gates is None else (self.gates.w, self.gates.b, self.gates.hard)
        tensors = (self.A, self.B, *(() if self.a is None else (self.a,)), *gates)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def factors(edit: Projector, place: Placement) -> Factors:
    """A stack of one, cast to the model's dtype, once."""

    def cast(factor: Tensor) -> Tensor:
        return factor.to(place.device, place.dtype).contiguous()[None]

    a = None if edit.a is None else cast(edit.a)
    gates = None if edit.gate is None else _gates(edit.gate, edit.rank, place)
    return Factors(cast(edit.A), cast(edit.B), a, gates)


def _gates(gate: Gate, rank: int, place: Placement) -> Gates:
    w = gate.w.to(place.device).expand(1, rank, -1).contiguous()
    b = w.new_full((1, rank), gate.b)
    return Gates(w, b, torch.full_like(b, gate.hard, dtype=torch.bool))


def joined(edits: Sequence[Factors]) -> Factors:
    """Several edits of one site as one: their rows together. Each is a stack of one."""
    if len(edits) == 1:
        return edits[0]
    gates = None
    if any(edit.gates is not None for edit in edits):
        gates = _cat_gates([edit.gates or _open(edit) for edit in edits], dim=1)
    biases = [edit.A.new_zeros(edit.A.shape[:2]) if edit.a is None else edit.a for edit in edits]
    return Factors(
        torch.cat([edit.A for edit in edits], dim=1),
        torch.cat([edit.B for edit in edits], dim=1),
        torch.cat(biases, dim=1) if any(edit.a is not None for edit in edits) else None,
        gates,
    )


def _open(edit: Factors) -> Gates:
    """Gates that are always open, for edits without any."""
    w = torch.zeros_like(edit.A, dtype=torch.float32)
    b = w.new_ones(w.shape[:2])
    return Gates(w, b, torch.ones_like(b, dtype=torch.bool))


def _cat_gates(gates: Sequence[Gates], dim: int) -> Gates:
    return Gates(
        torch.cat([gate.w for gate in gates], dim),
        torch.cat([gate.b for gate in gates], dim),
        torch.cat([gate.hard for gate in gates], dim),
    )


def stacked(edits: Sequence[Factors | None]) -> Factors | None:
    """Edits of different variants as one stack; None if there is none.

    A variant without an edit gets zero factors.
    """
    present = [edit for edit in edits if edit is not None]
    if len(present) == len(edits) == 1:
        return present[0]
    if not present:
        return None
    rank = max(edit.A.shape[1] for edit in present)
    none = Factors(present[0].A[:, :0], present[0].B[:, :0], None, None)
    padded = [_padded(edit or none, rank) for edit in edits]
    biased = any(edit.a is not None for edit in present)
    gated = any(edit.gates is not None for edit in present)
    return Factors(
        torch.cat([edit.A for edit in padded]),
        torch.cat([edit.B for edit in padded]),
        torch.cat([edit.A[..., 0] * 0 if edit.a is None else edit.a for edit in padded])
        if biased
        else None,
        _cat_gates([edit.gates or _open(edit) for edit in padded], dim=0) if gated else None,
    )


def _padded(edit: Factors, rank: int) -> Factors:
    """The same edit with rows of zeros up to `rank`."""
    missing = rank - edit.A.shape[1]
    gates = edit.gates
    if gates is not None:
        rows = (0, 0, 0, missing)
        gates = Gates(pad(gates.w, rows), pad(gates.b, rows[2:]), pad(gates.hard, rows[2:]))
    return Factors(
        pad(edit.A, (0, 0, 0, missing)),
        pad(edit.B, (0, 0, 0, missing)),
        None if edit.a is None else pad(edit.a, (0, missing)),
        gates,
    )
