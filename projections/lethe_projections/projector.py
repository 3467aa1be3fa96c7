"""One low-rank edit of activations at one site. Knows nothing of models, files or requests."""

import math
import re
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lethe_projections.errors import ArtifactError
from lethe_projections.orthonormal import orthonormal_rows
from lethe_projections.scope import SCOPES

HOOKS = ("block", "attn", "mlp", "down_proj")
"""`block`: residual stream after the block; `attn`, `mlp`: that module's output;
`down_proj`: reads the input of `mlp.down_proj`, writes its output."""

ORTHONORMAL_TOLERANCE = 1e-4
"""Largest |A A^T - I| entry, in units of the identity's 1. fp64 QR cast to fp32 leaves 1e-6."""

_SITE = re.compile(r"layers\.(0|[1-9][0-9]{0,5})\.(block|attn|mlp|down_proj)")


@dataclass(frozen=True, order=True)
class Site:
    """A place in the network.

    Attributes:
        layer: 0-based index over the decoder blocks.
        hook: one of `HOOKS`.
    """

    layer: int
    hook: str

    def __post_init__(self) -> None:
        if type(self.layer) is not int or self.layer < 0:
            raise ArtifactError(
                f"site: expected a layer of 0 or more, found {self.layer!r}; count blocks from 0"
            )
        if self.hook not in HOOKS:
            raise ArtifactError(
                f"site: expected a hook among {', '.join(HOOKS)}, found {self.hook!r}; use one"
            )

    def __str__(self) -> str:
        return f"layers.{self.layer}.{self.hook}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `layers.4.block`, the form that `str(site)` writes.

        Raises:
            ArtifactError: `text` has another form (leading zeros and signs included).
        """
        match = _SITE.fullmatch(text)
        if match is None:
            raise ArtifactError(
                f"site: expected 'layers.N.HOOK' with HOOK among {', '.join(HOOKS)}, "
                f"found {text[:80]!r}; rename the tensor"
            )
        return cls(int(match[1]), match[2])


@dataclass(frozen=True, eq=False)
class Gate:
    """How strongly an edit acts on a token, by what its site reads there.

        g(x) = sigmoid(w . x + b),  or, if hard,  1 where w . x + b > 0 and else 0

    A temperature is part of w and b.

    Attributes:
        w: [d_in] float32.
        b: rounded to float32.
        hard: a threshold instead of a sigmoid.

    Raises:
        ArtifactError: shapes, dtypes or values break the above.
    """

    w: Tensor
    b: float = 0.0
    hard: bool = False

    def __post_init__(self) -> None:
        _check_tensor("gate.w", self.w, 1)
        if not math.isfinite(self.b) or not isinstance(self.hard, bool):
            raise ArtifactError(
                f"gate: expected a finite b and hard true or false, found b {self.b!r} and hard "
                f"{self.hard!r}; fit again"
            )
        object.__setattr__(self, "w", self.w.detach().cpu().contiguous())
        object.__setattr__(self, "b", float(torch.tensor(self.b, dtype=torch.float32)))

    def __call__(self, x: Tensor) -> Tensor:
        """[..., 1] of x's dtype, for x [..., d_in]."""
        logit = (x @ self.w.to(x) + self.b)[..., None]
        return (logit > 0).to(x) if self.hard else logit.sigmoid()


@dataclass(frozen=True, eq=False)
class Projector:
    """A low-rank edit at one site.

    With input read `x` and output written `y`, on the tokens of its scope,

        z  = A x + a
        y += g(x) B^T z       (rows: y + g(x) * ((x @ A.T + a) @ B); g(x) = 1 without a gate)

    At every hook but `down_proj`, x and y are the same tensor.

    Attributes:
        site: where it acts.
        A: [k, d_in] float32.
        B: [k, d_out] float32.
        a: [k] float32, or None for zero.
        gate: g, or None for 1.
        scope: which tokens, one of `SCOPES`.
        orthonormal: claims that the edit, ungated and without a, is an orthogonal projection: A has
            orthonormal rows and B = -A.

    Raises:
        ArtifactError: shapes, dtypes or values break the above (finite, rank 1 or more).
    """

    site: Site
    A: Tensor
    B: Tensor
    a: Tensor | None = None
    gate: Gate | None = None
    scope: str = "all"
    orthonormal: bool = False

    def __post_init__(self) -> None:
        for name, tensor, ndim in self._parts():
            _check_tensor(f"{self.site}.{name}", tensor, ndim)
            object.__setattr__(self, name, tensor.detach().cpu().contiguous())
        for name, tensor, _ in self._parts():
            if tensor.shape[0] != self.rank:
                raise ArtifactError(
                    f"{self.site}.{name}: expected {self.rank} rows, the rank of A, "
                    f"found {tensor.shape[0]}; store one row per rank"
                )
        if self.site.hook != "down_proj" and self.d_in != self.d_out:
            raise ArtifactError(
                f"{self.site}: expected A and B of one width, since this hook reads what it "
                f"writes, found {self.d_in} and {self.d_out}; use the hidden size for both"
            )
        if self.gate is not None and len(self.gate.w) != self.d_in:
            raise ArtifactError(
                f"{self.site}.gate.w: expected width {self.d_in}, as A, found "
                f"{len(self.gate.w)}; a gate reads what A reads"
            )
        _check_labels(self)

    def _parts(self) -> list[tuple[str, Tensor, int]]:
        parts = [("A", self.A, 2), ("B", self.B, 2)]
        return parts if self.a is None else [*parts, ("a", self.a, 1)]

    @property
    def reads_input(self) -> bool:
        """Whether it reads another tensor than it writes."""
        return self.site.hook == "down_proj"

    @property
    def positional(self) -> bool:
        """Whether it depends on a token's place in the request."""
        return self.scope != "all"

    @property
    def rank(self) -> int:
        """k, the number of directions edited."""
        return self.A.shape[0]

    @property
    def d_in(self) -> int:
        """Width of what is read."""
        return self.A.shape[1]

    @property
    def d_out(self) -> int:
        """Width of what is written."""
        return self.B.shape[1]

    @property
    def nbytes(self) -> int:
        """Size of the factors in bytes, as stored (float32)."""
        gate = 0 if self.gate is None else self.gate.w.nbytes + 4
        return gate + sum(tensor.nbytes for _, tensor, _ in self._parts())

    @classmethod
    def orthogonal(cls, site: Site, Q: Tensor, scope: str = "all") -> Self:
        """Removes the row space of `Q` from the residual: y = x - Q^T Q x.

        Args:
            site: a hook whose input is its output (not `down_proj`).
            Q: [m, d] any float dtype; rows need be neither orthogonal nor independent.
            scope: which tokens.

        Returns:
            The projector with A = basis, B = -basis, rank k = rank of Q.

        Raises:
            ArtifactError: Q is empty, not finite or zero; or the site is a `down_proj`.
        """
        if site.hook == "down_proj":
            raise ArtifactError(
                "orthogonal projection: expected a hook that reads what it writes, "
                "found down_proj; use block, attn or mlp"
            )
        basis = orthonormal_rows(Q)
        return cls(site, basis, -basis, scope=scope, orthonormal=True)


def _check_tensor(name: str, tensor: object, ndim: int) -> None:
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32 or tensor.ndim != ndim:
        found = (
            f"{tensor.dtype} {list(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor)
        )
        raise ArtifactError(
            f"{name}: expected a float32 tensor of {ndim} dimensions, found {found}; "
            "keep factors in float32 and cast last"
        )
    if tensor.numel() == 0:
        raise ArtifactError(
            f"{name}: expected rank and width of 1 or more, found shape {list(tensor.shape)}; "
            "leave the site out instead"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise ArtifactError(f"{name}: expected finite values, found NaN or infinity; fit again")


def _check_labels(projector: Projector) -> None:
    site = projector.site
    scope: object = projector.scope
    orthonormal: object = projector.orthonormal
    if not isinstance(scope, str) or scope not in SCOPES:
        raise ArtifactError(
            f"{site}: expected a scope among {', '.join(SCOPES)}, found {scope!r:.80}; "
            "use one, or a newer Lethe"
        )
    if not isinstance(orthonormal, bool):
        raise ArtifactError(
            f"{site}: expected orthonormal true or false, found {orthonormal!r:.80}; set one"
        )
    if orthonormal:
        _check_orthonormal(projector)


def _check_orthonormal(projector: Projector) -> None:
    plain = projector.a is None and projector.gate is None
    if not plain or projector.A.shape != projector.B.shape:
        raise ArtifactError(
            f"{projector.site}: expected an orthonormal edit without a and gate, its A and B of "
            "one shape, found otherwise; build it with Projector.orthogonal"
        )
    A = projector.A.to(torch.float64)
    gram_error = (A @ A.T - torch.eye(projector.rank, dtype=torch.float64)).abs().max()
    mirror_error = (projector.A + projector.B).abs().max()
    worst = max(float(gram_error), float(mirror_error))
    if not worst <= ORTHONORMAL_TOLERANCE:
        raise ArtifactError(
            f"{projector.site}: expected orthonormal rows with B = -A within "
            f"{ORTHONORMAL_TOLERANCE:g}, found an error of {worst:.3g}; build it with "
            "Projector.orthogonal, or do not claim orthonormal"
        )
