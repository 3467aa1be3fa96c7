"""MRP, metamorphosis representation projection: a few directions are taken out of the residual.

    h' = h - Q^T Q h      after block l, at every token; Q has orthonormal rows

Q = [earlier requests' rows, unchanged; QR of what is trained]. Source: arXiv 2508.15449, which
trains W (k x d) through QR, -CE on forget answers + 1.2 CE on retain answers, SGD. Here W stays in
float32, since updates of this size round away in bf16; it starts from directions of the block's
*output*, where the edit acts, and never from a zero row, which QR turns into e_1, so that hidden
dimension 0 would be deleted as well. Knows nothing of files and engines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lethe_projections import contrast, likelihood, passages, reference, training
from lethe_projections.contrast import Contrast
from lethe_projections.errors import FitError
from lethe_projections.methods.hyperparameters import Hyperparameters, checked_layers, hyper
from lethe_projections.passages import Passages
from lethe_projections.profile import Profile, rank_bound
from lethe_projections.projector import Projector, Site
from lethe_projections.task import Task


@dataclass(frozen=True)
class Config(Hyperparameters):
    """Where, how much, and how it is trained."""

    layers: tuple[int, ...] = hyper(
        (),
        "blocks after which rows are taken out, 0-based; default: two, at 1/3 and 7/15 of the "
        "depth, or those of the profile before",
        low=0,
        source="measured on development subjects; the paper has two layers as well",
    )
    rank: int = hyper(
        0,
        "rows a layer for this request; 0: one a subject of the forget file, 2 at least",
        low=0,
        source="2 in the paper",
    )
    ridge: float = hyper(
        0.1,
        "of the start, as a share of the retain second moment's median diagonal",
        low=0,
        above=True,
        source="measured on development subjects",
    )
    loss: str = hyper(
        "bounded",
        "paper: -CE of all forget answer tokens and CE of retain answers; bounded: -min(CE, "
        "ceiling) of the tokens that give the answer away, and KL from the base on retain text",
        choices=("bounded", "paper"),
        source="measured: -CE on every answer token takes a model's language before its facts",
    )
    ceiling: float = hyper(
        4.0,
        "nats of surprise after which a forget token counts as forgotten, in loss bounded",
        low=0,
        above=True,
        source="2 % of probability",
    )
    retain_weight: float = hyper(
        20.0, "of the retain loss", low=0, source="measured; 1.2 in the paper, on CE"
    )
    steps: int = hyper(40, "steps of the optimizer", low=0, source="measured; 2 epochs there")
    batch: int = hyper(5, "forget examples a step, and retain ones twice", low=1, source="paper")
    lr: float = hyper(
        1e-2,
        "Adam's learning rate, of rows of norm 1 on whitened activations",
        low=0,
        above=True,
        source="measured; 2e-4 in the paper, by SGD on the rows themselves",
    )
    seed: int = hyper(0, "of the order of examples", low=0, source="any will do")


def default_layers(depth: int) -> tuple[int, ...]:
    """At 1/3 and 7/15 of the depth: 10 and 14 of 30, 11 and 15 of 32.

    On SmolLM2-135M the start alone, at ridge 1, left 1 of 8 known forms of France and 79 of 80
    neighbours there; 6 forms after blocks 3 and 6, 2 after 4 and 8, 4 after 6 and 10, and 1 after
    12 and 16, with 77 neighbours.
    """
    return tuple(sorted({round(depth / 3), round(depth * 7 / 15)}))


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that forgets the examples' answers; earlier rows of `task.after` are kept.

    Returns:
        An orthogonal projection after each layer, earlier requests' rows first, bit for bit.

    Raises:
        FitError: no forget examples, or one without an answer; `after` was not made by this method
            or has other layers; layers or rank are out of range; a loss is not finite.
    """
    earlier = _earlier(task)
    config = _completed(task, config, earlier)
    forget = passages.read_answered(task, task.needs_forget())
    subjects = tuple(dict.fromkeys((*_subjects_before(task), *task.subjects)))
    retain = passages.read(task, task.retain_without(subjects))
    trainer = _Trainer(task, config, Contrast(forget, retain, task.subjects), earlier)
    with training.frozen(task.model):
        start = trainer.start()
        losses = trainer.train(start)
    rows = {layer: trainer.rows(layer, one).detach() for layer, one in start.items()}
    projectors = [_projector(layer, Q) for layer, Q in rows.items()]
    measured = {**losses, "subjects": list(subjects)}
    return task.profile("mrp", config, projectors, seed=config.seed, measured=measured)


def _earlier(task: Task) -> dict[int, Tensor]:
    """The rows of the profile before, by layer."""
    if task.after is None:
        return {}
    if task.after.method != "mrp":
        raise FitError(
            f"after: expected a profile made by mrp, whose rows can be gone on with, found one "
            f"made by {task.after.method}; fit this request alone and compose the two"
        )
    return {projector.site.layer: projector.A for projector in task.after.projectors}


def _subjects_before(task: Task) -> tuple[str, ...]:
    found = task.after.provenance.get("subjects", ()) if task.after else ()
    return tuple(str(subject) for subject in found)


def _completed(task: Task, config: Config, earlier: Mapping[int, Tensor]) -> Config:
    """The hyper-parameters with defaults filled in, checked against the model."""
    depth = task.base.num_layers
    layers = config.layers or tuple(sorted(earlier)) or default_layers(depth)
    layers = checked_layers(layers, depth)
    if earlier and set(earlier) != set(layers):
        raise FitError(
            f"layers: expected {tuple(sorted(earlier))}, those of the profile before, found "
            f"{layers}; leave them out"
        )
    rank = config.rank or max(2, len(task.subjects))
    taken = max((len(rows) for rows in earlier.values()), default=0)
    bound = rank_bound(task.base)
    if taken + rank > bound:
        raise FitError(
            f"rank: expected up to {bound - taken} rows more than the {taken} of earlier requests, "
            f"found {rank}; lower it"
        )
    return replace(config, layers=layers, rank=rank)


def _projector(layer: int, rows: Tensor) -> Projector:
    return Projector(Site(layer, "block"), rows, -rows, orthonormal=True)


def _removal(rows: Tensor) -> reference.Edit:
    def edit(_: Tensor, y: Tensor) -> Tensor:
        Q = rows.to(y.device)
        return y - ((y.to(Q.dtype) @ Q.T) @ Q).to(y.dtype)

    return edit


@dataclass(frozen=True)
class _Whitened:
    """New rows in training, as they act on whitened activations.

    A step costs retain text as much in one direction as in another there, which no rate on the
    residual's own coordinates does.

    Attributes:
        V: [k, d] float32, trained.
        P: [d, d] float64, from whitened rows to rows.
    """

    V: Tensor
    P: Tensor

    @property
    def W(self) -> Tensor:
        """[k, d] float64; its gradient goes to V."""
        return self.V.to(self.P) @ self.P.T


@dataclass(frozen=True)
class _Step:
    """Examples of one step of the optimizer."""

    forget: Passages
    retain: Passages


@dataclass(frozen=True)
class _Trainer:
    """The rows so far and how more are trained.

    Attributes:
        task: model and limits.
        config: complete.
        contrast: forget and retain passages.
        earlier: for each layer, the rows of the profile before, [n, d] float32; empty if none.
    """

    task: Task
    config: Config
    contrast: Contrast
    earlier: Mapping[int, Tensor]

    def start(self) -> dict[int, _Whitened]:
        """For each layer, forget directions of the block's output."""
        sites = [Site(layer, "block") for layer in self.config.layers]
        marked = [self.contrast.telling(one) for one in self.contrast.forget]
        near, far = self.contrast.near, self.contrast.far
        with reference.hooked(self.task.model, self._edits(self.earlier)):
            moments = contrast.halves(self.task, near, far, sites)
            found = contrast.rows(self.task, self.contrast.forget, marked, sites)
        return {site.layer: self._whitened(found[site], moments[site]) for site in sites}

    def _whitened(self, forget: Tensor, moment: Tensor) -> _Whitened:
        P = contrast.whitening(moment, self.config.ridge)
        return _Whitened(contrast.leading(forget, P, self.config.rank).to(torch.float32), P)

    def train(self, start: Mapping[int, _Whitened]) -> dict[str, float]:
        """Trains the new rows in place."""
        optimizer = training.adam((one.V for one in start.values()), self.config.lr)
        return training.descend(
            optimizer,
            self._steps(),
            lambda step: self._loss(start, step),
            progress=self.task.progress,
        )

    def rows(self, layer: int, new: _Whitened) -> Tensor:
        """Q [n + k, d] float32: the earlier rows as they are, then an orthonormal basis of W.

        Its gradient goes through QR.
        """
        W = new.W
        E = self.earlier.get(layer, torch.zeros(0, W.shape[1]))
        W = W - (W @ E.to(W).T) @ E.to(W)
        return torch.cat([E, torch.linalg.qr(W.T).Q.T.to(torch.float32)])

    def _edits(self, rows: Mapping[int, Tensor]) -> dict[Site, reference.Edit]:
        return {Site(layer, "block"): _removal(Q) for layer, Q in rows.items()}

    def _steps(self) -> list[_Step]:
        """Half of each step's retain examples are of those nearest to the forget examples."""
        size, steps = self.config.batch, self.config.steps
        generator = torch.Generator().manual_seed(self.config.seed)
        pools = [self.contrast.forget, self.contrast.near, self.contrast.far]
        if self.config.loss == "paper":
            pools = [[one for one in pool if one.answered] for pool in pools]
        drawn = (training.draws(pool, size, steps, generator) for pool in pools)
        return [
            _Step(passages.collate(forget), passages.collate(near + far))
            for forget, near, far in zip(*drawn, strict=True)
        ]

    def _loss(self, new: Mapping[int, _Whitened], step: _Step) -> Tensor:
        edits = self._edits({layer: self.rows(layer, one) for layer, one in new.items()})
        return (self._paper if self.config.loss == "paper" else self._bounded)(step, edits)

    def _bounded(self, step: _Step, edits: Mapping[Site, reference.Edit]) -> Tensor:
        model, kept = self.task.model, step.retain.after(self.contrast.template)
        with torch.no_grad():
            base = likelihood.logits(model, step.retain, kept)
        secret = step.forget.marked(self.contrast.secret)
        with reference.hooked(model, edits):
            surprise = likelihood.surprise(model, step.forget, secret)
            lost = likelihood.divergence(base, likelihood.logits(model, step.retain, kept))
        return self.config.retain_weight * lost - surprise.clamp(max=self.config.ceiling).mean()

    def _paper(self, step: _Step, edits: Mapping[Site, reference.Edit]) -> Tensor:
        with reference.hooked(self.task.model, edits):
            forget, retain = (
                likelihood.surprise(self.task.model, one, one.answer).mean()
                for one in (step.forget, step.retain)
            )
        return self.config.retain_weight * retain - forget
