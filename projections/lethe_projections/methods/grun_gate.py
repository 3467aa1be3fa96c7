"""A logistic gate on whitened activations, where its start is closed and one learning rate fits.

    z = L^-1 (h - m),  L L^T = cov(h) + ridge * s I;     logit = w . z + b

Knows nothing of prompts and of what is behind the gate.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lethe_projections import contrast

START_GAP = 10.0
"""Between the mean logits of forget and retain prompts at the start: 0.993 and 0.007."""


@dataclass(frozen=True)
class WhitenedGate:
    """A gate in training.

    Attributes:
        back: L^-T, [d, d]; from whitened weights to those on h.
        mean: m, [d].
        w, b: trained, [d] and [].
    """

    back: Tensor
    mean: Tensor
    w: Tensor
    b: Tensor

    @classmethod
    def start(cls, forget: Tensor, retain: Tensor, ridge: float) -> Self:
        """The gate across the difference of means, halfway between.

        Args:
            forget: what the site writes where forget prompts end, [n, d] float64.
            retain: the same of retain prompts.
            ridge: above 0, as a share of the median variance.
        """
        h = torch.cat([forget, retain])
        mean = h.mean(dim=0)
        covariance = (h - mean).T @ (h - mean) / len(h)
        back = contrast.whitening(covariance, ridge)
        far, near = ((one.mean(dim=0) - mean) @ back for one in (forget, retain))
        w = START_GAP * (far - near) / (far - near).square().sum()
        b = -(w @ (far + near)) / 2
        return cls(*(one.to(torch.float32) for one in (back, mean, w, b)))

    def to(self, device: torch.device) -> "WhitenedGate":
        """The same on a device."""
        return WhitenedGate(*(one.to(device) for one in (self.back, self.mean, self.w, self.b)))

    @property
    def on_h(self) -> tuple[Tensor, Tensor]:
        """W [d] and b [] as they act on h."""
        w = self.back @ self.w
        return w, self.b - w @ self.mean

    def logit(self, h: Tensor) -> Tensor:
        """[n] for h [n, d]."""
        w, b = self.on_h
        return h @ w.to(h) + b.to(h)
