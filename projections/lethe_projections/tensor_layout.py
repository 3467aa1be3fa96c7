"""How a profile's projectors lie in an artifact: named tensors, and labels in the document.

    layers.{l}.{hook}.{n}.{A|B|a|gate.w|gate.b}, n counting a site's projectors from 0

Trusts no name and no label. Knows nothing of files.
"""

import re
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from lethe_projections.errors import ArtifactError
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site

_PARTS = ("A", "B", "a", "gate.w", "gate.b")
_GATES = {"sigmoid": False, "hard": True}
_NAME = re.compile(r"(layers\.[0-9]+\.[a-z_]+\.(?:0|[1-9][0-9]{0,3}))\.(A|B|a|gate\.w|gate\.b)")


def tensors(profile: Profile) -> dict[str, Tensor]:
    """Every factor of a profile by name."""
    return {
        f"{name}.{part}": tensor
        for name, projector in _named(profile).items()
        for part, tensor in _tensors(projector).items()
    }


def labels(profile: Profile) -> dict[str, Any]:
    """Every projector's scope, kind of gate and claim of orthonormality, by its name."""
    return {name: _labels(projector) for name, projector in _named(profile).items()}


def split(name: str) -> tuple[str, str]:
    """A tensor's name as its projector's and the part.

    Raises:
        ArtifactError: it has another form.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ArtifactError(
            f"artifact: expected tensor names layers.N.HOOK.n and one of {', '.join(_PARTS)}, "
            f"found {name[:80]!r}; remove it, or use the Lethe that wrote it"
        )
    return match[1], match[2]


def _named(profile: Profile) -> dict[str, Projector]:
    return {
        f"{site}.{index}": projector
        for site, projectors in profile.by_site()
        for index, projector in enumerate(projectors)
    }


def _tensors(projector: Projector) -> dict[str, Tensor]:
    found = {"A": projector.A, "B": projector.B}
    if projector.a is not None:
        found["a"] = projector.a
    if projector.gate is not None:
        found["gate.w"] = projector.gate.w
        found["gate.b"] = torch.tensor([projector.gate.b], dtype=torch.float32)
    return found


def _labels(projector: Projector) -> dict[str, Any]:
    gate = None if projector.gate is None else "hard" if projector.gate.hard else "sigmoid"
    return {"scope": projector.scope, "gate": gate, "orthonormal": projector.orthonormal}


def read(tensors: dict[str, Tensor], labels: dict[str, Any]) -> tuple[Projector, ...]:
    """The projectors that tensors and labels describe; the inverse of the two above.

    Raises:
        ArtifactError: whatever is wrong with them.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        projector, part = split(name)
        parts.setdefault(projector, {})[part] = tensor
    if set(parts) != set(labels):
        differing = sorted(set(parts) ^ set(labels))
        raise ArtifactError(
            f"projectors: expected one entry for each projector with tensors, found a difference "
            f"at {differing!s:.120}; write the file again"
        )
    # By number, not by name: a tenth projector of a site comes after the second.
    order = sorted(parts, key=lambda name: (name.rpartition(".")[0], int(name.rpartition(".")[2])))
    _check_counted(order)
    return tuple(_projector(name, parts[name], labels[name]) for name in order)


def _check_counted(names: list[str]) -> None:
    counted: Counter[str] = Counter()
    for name in names:
        site, _, number = name.rpartition(".")
        if int(number) != counted[site]:
            raise ArtifactError(
                f"{name}: expected a site's projectors counted from 0 without a gap, found "
                f"{number} after {counted[site]}; number them anew"
            )
        counted[site] += 1


def _projector(name: str, parts: dict[str, Tensor], labels: Any) -> Projector:
    if not isinstance(labels, dict) or set(labels) != {"scope", "gate", "orthonormal"}:
        raise ArtifactError(
            f"{name}: expected scope, gate and orthonormal, found {labels!r:.120}; write those"
        )
    if not {"A", "B"} <= set(parts):
        raise ArtifactError(
            f"{name}: expected the tensors A and B, found {sorted(parts)}; store both"
        )
    return Projector(
        site=Site.parse(name.rpartition(".")[0]),
        A=parts["A"],
        B=parts["B"],
        a=parts.get("a"),
        gate=_gate(name, parts, labels["gate"]),
        scope=labels["scope"],
        orthonormal=labels["orthonormal"],
    )


def _gate(name: str, parts: dict[str, Tensor], kind: Any) -> Gate | None:
    w, b = parts.get("gate.w"), parts.get("gate.b")
    if kind is None and w is None and b is None:
        return None
    known = isinstance(kind, str) and kind in _GATES
    if not known or w is None or b is None or b.shape != (1,):
        raise ArtifactError(
            f"{name}: expected gate null without tensors, or {' or '.join(_GATES)} with gate.w "
            f"[d_in] and gate.b [1], found {kind!r:.80} with {sorted(parts)}; store both or none"
        )
    return Gate(w, float(b), _GATES[kind])
