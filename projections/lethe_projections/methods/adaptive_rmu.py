"""Adaptive RMU: as RMU, with c a multiple of each forget token's own |h_l|.

Source: arXiv 2408.06223. RMU's fixed c no longer moves a token once |h_l| is larger, which it is
in later blocks; relative to |h_l| it works at any. The loss is in `misdirection`.
"""

from dataclasses import dataclass

from torch import Tensor

from lethe_projections.methods import misdirection
from lethe_projections.methods.hyperparameters import hyper
from lethe_projections.methods.misdirection import Misdirection
from lethe_projections.profile import Profile
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(Misdirection):
    """Where, how far, and how it is trained."""

    beta: float = hyper(
        5.0, "c as a multiple of |h_l| before the edit", low=0, above=True, source="section 5"
    )
    retain_weight: float = hyper(1200.0, "alpha", low=0, source="WMDP, for Zephyr-7B")


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that sends the forget examples' tokens to beta |h| u.

    Raises:
        FitError: as `misdirection.fit`.
    """

    def scale(frozen: Tensor) -> Tensor:
        lengths: Tensor = frozen.norm(dim=1, keepdim=True)
        return config.beta * lengths

    return misdirection.fit(task, "adaptive-rmu", config, config.retain_weight, scale)
