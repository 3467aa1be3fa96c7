"""One case measured: the kernel and the two products, in and out of a CUDA graph."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.gpu.cases import Case
from benchmarks.gpu.check import check
from benchmarks.gpu.matmuls import two_matmuls
from benchmarks.gpu.scene import Scene
from benchmarks.gpu.timing import Spread, captured, timed
from benchmarks.gpu.traffic import nbytes, share
from lethe_vllm.plan import Plan

SITES = 32
"""Most sites of a scene, which run one after the other as in a model of so many layers."""

MEMORY = 8 * 2**30
"""Bytes that a scene's sites may take together; large ones are fewer."""


@dataclass(frozen=True)
class Outcome:
    """Seconds a site, by what ran it; torch is not asked to do nothing.

    `error` is the relative error of the change, `share` what part of the copy bandwidth the kernel
    reached in a graph.
    """

    case: Case
    error: float
    graph: Spread
    eager: Spread
    torch_graph: Spread | None
    torch_eager: Spread | None
    share: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(case: Case, plan: Plan, dtype: torch.dtype, bandwidth: float, repeats: int) -> Outcome:
    """Checks a case, then times it."""
    device = torch.device("cuda")
    error = check(case, plan, dtype, device)
    sites = max(2, min(SITES, MEMORY // (1 + 2 * nbytes(case, dtype.itemsize))))
    scene = Scene(case, plan, dtype, device, sites)
    products = two_matmuls(scene) if case.profiles else None
    graph = timed(captured(scene.run), sites, repeats)
    return Outcome(
        case,
        error,
        graph,
        timed(scene.run, sites, repeats),
        products and timed(captured(products), sites, repeats),
        products and timed(products, sites, repeats),
        share(case, dtype.itemsize, graph.median, bandwidth),
    )
