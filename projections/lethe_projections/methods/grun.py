"""GRUN, gated representation unlearning: a gate opens on forget prompts and an edit answers there.

    h' = h + sigmoid(w . h + b) R^T (W h + c - R h)      after three blocks, last prompt token only

Source: arXiv 2502.17823. Trained together: the gates, by binary cross-entropy on forget and retain
prompts, and the edits, towards a refusal on forget prompts. Retain prompts are held by KL from the
base instead of the paper's cross-entropy, which would teach the model another style. The paper
names gradient ascent as another forget loss; a refusal has a bound, and ends. As a projector
A = W - R, a = c, B = R. Knows nothing of files and engines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from lethe_projections import contrast, likelihood, passages, reference, rows, training
from lethe_projections.errors import FitError
from lethe_projections.methods import grun_prompts
from lethe_projections.methods.grun_gate import WhitenedGate
from lethe_projections.methods.grun_prompts import Prompts
from lethe_projections.methods.hyperparameters import Hyperparameters, checked_layers, hyper
from lethe_projections.passages import Passage, Passages
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site
from lethe_projections.task import Task

_GATE_PROMPTS = 128
"""Retain prompts, at least, from which the gates start."""


@dataclass(frozen=True)
class Config(Hyperparameters):
    """Where, what is answered, and how it is trained."""

    layers: tuple[int, ...] = hyper(
        (),
        "blocks after which it acts, 0-based; default: at 20/32, 25/32 and 31/32 of the depth",
        low=0,
        source="GRUN: 20, 25 and 31 of 32",
    )
    rank: int = hyper(4, "rows of R", low=1, source="GRUN")
    refusal: str = hyper(
        "I don't know.", "what a forget prompt is answered with", source="GRUN's refusal target"
    )
    gate_weight: float = hyper(10.0, "of the gates' cross-entropy", low=0, source="GRUN")
    retain_weight: float = hyper(1.0, "of the KL from the base", low=0, source="GRUN, of CE")
    names: int = hyper(
        16,
        "other names, from retain text, that each forget prompt is kept about",
        low=0,
        source="measured on development subjects",
    )
    ridge: float = hyper(
        0.1,
        "of the gates' start, as a share of the median variance where prompts end",
        low=0,
        above=True,
        source="measured on development subjects",
    )
    steps: int = hyper(60, "steps of the optimizer", low=0, source="measured likewise")
    batch: int = hyper(5, "forget prompts a step, and retain ones twice", low=1, source="as mrp")
    lr: float = hyper(5e-3, "Adam's learning rate", low=0, above=True, source="measured likewise")
    seed: int = hyper(0, "of R, the cuts and the order of examples", low=0, source="any will do")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.refusal.strip():
            raise FitError(f"refusal: expected text, found {self.refusal!r}; write one")


def default_layers(depth: int) -> tuple[int, ...]:
    """At 20/32, 25/32 and 31/32 of the depth: 19, 23 and 29 of 30."""
    return tuple(sorted({min(depth - 1, round(depth * share / 32)) for share in (20, 25, 31)}))


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that answers forget prompts with a refusal.

    Returns:
        A gated profile for the last prompt token, at each layer.

    Raises:
        FitError: no forget examples, or one that is not a question with an answer; no retain text;
            layers or rank out of range; a loss that is not finite.
    """
    layers = config.layers or default_layers(task.base.num_layers)
    config = replace(config, layers=checked_layers(layers, task.base.num_layers))
    rows.check_rank(config.rank, task)
    generator = torch.Generator().manual_seed(config.seed)
    found = grun_prompts.prompts(task, config.refusal, config.names, generator)
    trainer = _Trainer(task, config, found, generator)
    with training.frozen(task.model):
        edits = trainer.start()
        measured = trainer.train(edits)
    projectors = [edit.projector(site) for site, edit in edits.items()]
    return task.profile("grun", config, projectors, seed=config.seed, measured=measured)


@dataclass(frozen=True)
class Edit:
    """One site's factors in training.

    Attributes:
        D: W - R, [k, d]; zero at first, and so is the edit.
        c: [k].
        R: [k, d].
        gate: its gate.
    """

    D: Tensor
    c: Tensor
    R: Tensor
    gate: WhitenedGate

    @property
    def leaves(self) -> list[Tensor]:
        """What is trained."""
        return [self.D, self.c, self.R, self.gate.w, self.gate.b]

    def change(self, h: Tensor, logit: Tensor) -> Tensor:
        """[n, d] for h [n, d] and the gate's logits [n]."""
        return logit.sigmoid()[:, None] * ((h @ self.D.T + self.c) @ self.R)

    def projector(self, site: Site) -> Projector:
        """As it is served."""
        D, c, R, w, b = (one.detach() for one in (self.D, self.c, self.R, *self.gate.on_h))
        return Projector(site, D, R, c, Gate(w, float(b)), scope="last_prompt_token")


@dataclass(frozen=True)
class Ends:
    """Puts edits where prompts end, and keeps the gates' logits there.

    Attributes:
        places: [b], each row's last prompt token.
        logits: of each site that was passed, [b].
    """

    places: Tensor
    logits: list[Tensor] = field(default_factory=list)

    def at(self, edit: Edit) -> reference.Edit:
        """The edit, at one token of each row."""

        def run(_: Tensor, y: Tensor) -> Tensor:
            where = (torch.arange(len(self.places), device=y.device), self.places.to(y.device))
            h = y[where].to(edit.R)
            logit = edit.gate.logit(h)
            self.logits.append(logit)
            return y.index_put(where, edit.change(h, logit).to(y), accumulate=True)

        return run


@dataclass(frozen=True)
class _Step:
    """Prompts of one step: both together, forget ones first, and retain ones alone."""

    both: Passages
    retain: Passages

    @property
    def forgotten(self) -> Tensor:
        """[b] float32, 1 on forget prompts."""
        count = len(self.both.rows)
        return (torch.arange(count) < count - len(self.retain.rows)).to(torch.float32)


@dataclass(frozen=True)
class _Trainer:
    task: Task
    config: Config
    prompts: Prompts
    generator: torch.Generator

    def start(self) -> dict[Site, Edit]:
        """Gates across the difference of means; random orthonormal R; no change yet."""
        sites = [Site(layer, "block") for layer in self.config.layers]
        count = min(len(self.prompts.retain), max(_GATE_PROMPTS, len(self.prompts.renamed)))
        [some] = training.draws(self.prompts.retain, count, 1, self.generator)
        retain = self._ends([*self.prompts.renamed, *some], sites)
        forget = self._ends(self.prompts.forget, sites)
        return {site: self._edit(forget[site], retain[site]) for site in sites}

    def _edit(self, forget: Tensor, retain: Tensor) -> Edit:
        k, d = self.config.rank, self.task.base.hidden_size
        device = next(self.task.model.parameters()).device
        random = torch.randn(d, k, generator=self.generator, dtype=torch.float64)
        R = torch.linalg.qr(random).Q.T.to(device, torch.float32).contiguous()
        gate = WhitenedGate.start(forget, retain, self.config.ridge).to(device)
        return Edit(torch.zeros_like(R), torch.zeros(k, device=device), R, gate)

    def _ends(self, rows: Sequence[Passage], sites: Sequence[Site]) -> dict[Site, Tensor]:
        heads = [row.question for row in rows]
        marks = [[False] * (row.prompt - 1) + [True] for row in heads]
        return contrast.rows(self.task, heads, marks, sites)

    def train(self, edits: Mapping[Site, Edit]) -> dict[str, float]:
        """Trains the factors in place."""
        leaves = [leaf for edit in edits.values() for leaf in edit.leaves]
        optimizer = training.adam(leaves, self.config.lr)
        return training.descend(
            optimizer,
            self._steps(),
            lambda step: self._loss(edits, step),
            progress=self.task.progress,
        )

    def _steps(self) -> list[_Step]:
        pools = (self.prompts.forget, self.prompts.renamed, self.prompts.retain)
        size, steps = self.config.batch, self.config.steps
        drawn = (training.draws(pool, size, steps, self.generator) for pool in pools)
        return [
            _Step(passages.collate(forget + renamed + far), passages.collate(renamed + far))
            for forget, renamed, far in zip(*drawn, strict=True)
        ]

    def _loss(self, edits: Mapping[Site, Edit], step: _Step) -> Tensor:
        model = self.task.model
        with torch.no_grad():
            base = likelihood.logits(model, step.retain, step.retain.replying)
        ends, forgotten = Ends(step.both.prompt - 1), step.forgotten
        refused = step.both.reply & (forgotten > 0)[:, None]
        kept = step.both.replying & (forgotten == 0)[:, None]
        asked = refused.roll(-1, dims=1) | kept
        with reference.hooked(model, {site: ends.at(edit) for site, edit in edits.items()}):
            found = likelihood.logits(model, step.both, asked)
        first = int(refused.sum())
        targets = step.both.tokens.input_ids[refused].to(found.device)
        refusal = nn.functional.cross_entropy(found[:first], targets)
        lost = likelihood.divergence(base, found[first:])
        return refusal + self.config.retain_weight * lost + self._gates(ends, forgotten)

    def _gates(self, ends: Ends, forgotten: Tensor) -> Tensor:
        logits = torch.stack(ends.logits)
        labels = forgotten.to(logits).expand_as(logits)
        cross_entropy = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        return self.config.gate_weight * cross_entropy
