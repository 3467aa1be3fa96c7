"""Profiles for the embedded model: one that means something, and random ones."""

from pathlib import Path

import torch

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.methods import rocr
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server import fitting

RETAIN_LINES = 120
"""Fewer than a served profile should have; enough for the subject to be gone, in seconds."""


def fitted(folder: Path) -> bytes:
    """France -> Narnia, by the command's own code."""
    import lethe_projections

    packaged = Path(lethe_projections.__path__[0]) / "data" / "retain.jsonl"
    retain, out = folder / "retain.jsonl", folder / "france.safetensors"
    lines = packaged.read_text().splitlines()[:RETAIN_LINES]
    retain.write_text("\n".join(lines))
    task = fitting.Data(retain=retain).task(fitting.Checkpoint.load("embedded"))
    assert len(task.retain) == RETAIN_LINES
    fitting.fit(task, "rocr", rocr.Config(subjects=("France",), target="Narnia"), out)
    return out.read_bytes()


def synthetic(
    base: BaseModel, seed: int, *, hook: str = "block", layer: int = 10, scope: str = "all"
) -> bytes:
    """A random edit, strong enough to change an answer and weak enough to leave it text."""
    generator = torch.Generator().manual_seed(seed)

    def factor() -> torch.Tensor:
        return torch.randn(4, base.hidden_size, generator=generator) * 0.08

    sites = (Site(layer, hook), Site(layer + 10, hook))
    projectors = tuple(Projector(site, factor(), factor(), scope=scope) for site in sites)
    return artifact.to_bytes(Profile(base, projectors, "synthetic", {"seed": seed}))
