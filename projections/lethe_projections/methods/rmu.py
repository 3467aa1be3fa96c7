"""RMU, representation misdirection for unlearning: forget tokens are sent to one random vector c u.

Source: WMDP (arXiv 2403.03218), section 4. The loss, and what is trained, is in `misdirection`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lethe_projections.methods import misdirection
from lethe_projections.methods.hyperparameters import hyper
from lethe_projections.methods.misdirection import Misdirection
from lethe_projections.profile import Profile
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(Misdirection):
    """Where, how far, and how it is trained."""

    coefficient: float = hyper(
        6.5, "c, in the residual's units", low=0, above=True, source="WMDP, for Zephyr-7B"
    )
    retain_weight: float = hyper(1200.0, "alpha", low=0, source="WMDP, for Zephyr-7B")


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that sends the forget examples' tokens to c u.

    Raises:
        FitError: as `misdirection.fit`.
    """

    def scale(frozen: Tensor) -> Tensor:
        return torch.full_like(frozen[:, :1], config.coefficient)

    return misdirection.fit(task, "rmu", config, config.retain_weight, scale)
