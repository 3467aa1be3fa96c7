"""What RMU and Adaptive RMU share: forget tokens are sent to a random direction, trained low-rank.

    loss = MSE(h_l(forget), c u) + alpha MSE(h_l(retain), frozen h_l(retain))

h_l is the residual after block l; the two methods differ in c, a number or one for each token.
Trained are factors A and B at the `down_proj` of blocks l - 2 to l, where the papers train the
whole matrices: what is trained is then what is served. The model runs no further than block l.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lethe_projections import activations, contrast, passages, reference, rows, training
from lethe_projections.contrast import Contrast
from lethe_projections.methods.hyperparameters import Hyperparameters, hyper
from lethe_projections.methods.random_direction import default_layer, directions
from lethe_projections.passages import Passages
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_projections.task import Task

Scale = Callable[[Tensor], Tensor]
"""From frozen h_l at forget tokens, [n, d], to c, [n, 1]."""

_BLOCKS = 3
"""Blocks l - 2 to l are edited: RMU (WMDP, section 4)."""


@dataclass(frozen=True)
class Misdirection(Hyperparameters):
    """Where, and how it is trained."""

    layer: int | None = hyper(
        None,
        "l, 0-based; default: at 7/32 of the depth; the down_proj of l - 2 to l are edited",
        low=0,
        source="RMU's block 7 of 32",
    )
    rank: int = hyper(
        0,
        "rows a layer; 0: one a subject of the forget file, 2 at least",
        low=0,
        source="measured on development subjects",
    )
    ridge: float = hyper(
        0.3,
        "of A's start, as a share of the retain second moment's median diagonal",
        low=0,
        above=True,
        source="measured on development subjects",
    )
    steps: int = hyper(150, "steps of the optimizer", low=0, source="RMU's published code")
    batch: int = hyper(4, "forget examples a step, and retain ones twice", low=1, source="RMU")
    lr: float = hyper(
        2e-3,
        "Adam's learning rate of the factors, for A in units of its start's row norms",
        low=0,
        above=True,
        source="measured on development subjects; 5e-5 on whole matrices in the paper",
    )
    seed: int = hyper(0, "of u and of the order of examples", low=0, source="any will do")


def fit(task: Task, method: str, config: Misdirection, alpha: float, scale: Scale) -> Profile:
    """Fits a profile that sends the forget examples' tokens to c u.

    A forget passage's tokens count from the first that tells it apart; before that they are those
    of retain passages, so that no edit can part them.

    Returns:
        A `down_proj` profile at up to three layers.

    Raises:
        FitError: no forget examples, no retain text, a layer or rank out of range, or a loss that
            is not finite.
    """
    layer = default_layer(config.layer, task.base.num_layers)
    config = replace(config, layer=layer, rank=config.rank or max(2, len(task.subjects)))
    rows.check_rank(config.rank, task)
    forget = passages.read(task, task.needs_forget())
    retain = passages.read(task, task.retain_without(task.subjects))
    contrast = Contrast(forget, retain, task.subjects)
    trainer = _Trainer(task, config, layer, contrast, alpha, scale)
    with training.frozen(task.model):
        factors = trainer.start()
        measured = trainer.train(factors)
    projectors = [Projector(site, one.A.detach(), one.B.detach()) for site, one in factors.items()]
    return task.profile(method, config, projectors, seed=config.seed, measured=measured)


@dataclass(frozen=True)
class _Factors:
    """Rows of an edit. A's are kept of norm near 1 and `unit` apart, so that one rate fits both."""

    rows: Tensor
    unit: Tensor
    B: Tensor

    @property
    def A(self) -> Tensor:
        """[k, d_in] float32."""
        return self.rows * self.unit

    def edit(self, x: Tensor, y: Tensor) -> Tensor:
        """As `reference.change`, of y's dtype."""
        return y + ((x.to(self.B) @ self.A.T) @ self.B).to(y)


@dataclass(frozen=True)
class _Step:
    """Examples of one step of the optimizer."""

    forget: Passages
    retain: Passages


@dataclass(frozen=True)
class _Trainer:
    task: Task
    config: Misdirection
    layer: int
    contrast: Contrast
    alpha: float
    scale: Scale

    @property
    def _end(self) -> Site:
        return Site(self.layer, "block")

    @property
    def _sites(self) -> list[Site]:
        first = max(0, self.layer - _BLOCKS + 1)
        return [Site(layer, "down_proj") for layer in range(first, self.layer + 1)]

    def start(self) -> dict[Site, _Factors]:
        """A from directions that tell forget tokens, of mean square 1 on them; B zero."""
        near, far, sites = self.contrast.near, self.contrast.far, self._sites
        marked = [self.contrast.telling(one) for one in self.contrast.forget]
        moments = contrast.halves(self.task, near, far, sites)
        found = contrast.rows(self.task, self.contrast.forget, marked, sites)
        return {site: self._factors(found[site], moments[site]) for site in sites}

    def _factors(self, forget: Tensor, moment: Tensor) -> _Factors:
        P = contrast.whitening(moment, self.config.ridge)
        rows = nn.functional.normalize(contrast.leading(forget, P, self.config.rank) @ P.T)
        size = (forget @ rows.T).square().mean(dim=0).sqrt()[:, None]
        device = next(self.task.model.parameters()).device
        B = torch.zeros(len(rows), self.task.base.hidden_size, device=device)
        return _Factors(rows.to(B), (1 / size).to(B), B)

    def train(self, factors: dict[Site, _Factors]) -> dict[str, float]:
        """Trains the factors in place."""
        leaves = [leaf for one in factors.values() for leaf in (one.rows, one.B)]
        optimizer = training.adam(leaves, self.config.lr)
        edits: dict[Site, reference.Edit] = {site: one.edit for site, one in factors.items()}
        [u] = directions(1, self.task.base.hidden_size, self.config.seed).to(leaves[0])

        def loss(step: _Step) -> Tensor:
            return self._loss(step, edits, u)

        return training.descend(optimizer, self._steps(), loss, progress=self.task.progress)

    def _steps(self) -> list[_Step]:
        generator = torch.Generator().manual_seed(self.config.seed)
        pools = (self.contrast.forget, self.contrast.near, self.contrast.far)
        size, steps = self.config.batch, self.config.steps
        drawn = (training.draws(pool, size, steps, generator) for pool in pools)
        return [
            _Step(passages.collate(forget), passages.collate(near + far))
            for forget, near, far in zip(*drawn, strict=True)
        ]

    def _loss(self, step: _Step, edits: Mapping[Site, reference.Edit], u: Tensor) -> Tensor:
        told = step.forget.marked(self.contrast.from_telling)
        with torch.no_grad():
            frozen = self._residual(step.forget, told)
            target = self.scale(frozen) * u
            kept = self._residual(step.retain, step.retain.real)
        with reference.hooked(self.task.model, edits):
            sent = self._residual(step.forget, told)
            held = self._residual(step.retain, step.retain.real)
        mse = nn.functional.mse_loss
        return mse(sent, target) + self.alpha * mse(held, kept)

    def _residual(self, batch: Passages, wanted: Tensor) -> Tensor:
        """h_l at the wanted tokens, [n, d] float32."""
        found = activations.traced(self.task.model, batch.tokens, [self._end])[self._end]
        return found[wanted.to(found.device)].float()
