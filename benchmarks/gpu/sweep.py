"""Other plans than the engine's, one thing changed at a time, for a few cases."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from rich.table import Table

from benchmarks.gpu.cases import SWEPT
from benchmarks.gpu.check import check
from benchmarks.gpu.measure import SITES
from benchmarks.gpu.scene import Scene
from benchmarks.gpu.timing import captured, timed
from lethe_vllm.plan import Plan


def plans(chosen: Plan) -> Iterator[tuple[str, Plan]]:
    """The engine's plan, then others by what they change."""
    yield "as chosen", chosen
    yield "two launches", replace(chosen, fused=False)
    for splits in (1, 4, 8, 32):
        yield f"splits {splits}", replace(chosen, splits=splits)
    for warps in (4, 16):
        yield f"warps {warps}", replace(chosen, warps=warps)
    for stages in (2, 3, 5):
        yield f"stages {stages}", replace(chosen, stages=stages)
    for columns in (64, 128, 512):
        yield (
            f"narrow columns {columns}",
            replace(chosen, narrow=chosen.narrow._replace(columns=columns)),
        )
    for rank in (16, 64):
        yield f"narrow rank {rank}", replace(chosen, narrow=chosen.narrow._replace(rank=rank))
    for tokens, rank, columns in ((64, 32, 64), (64, 64, 128), (128, 32, 64), (32, 64, 128)):
        wide = chosen.wide._replace(tokens=tokens, rank=rank, columns=columns)
        yield f"wide {tokens} {rank} {columns}", replace(chosen, wide=wide)


def sweep(chosen: Plan, dtype: torch.dtype, repeats: int) -> Table:
    """Microseconds a site, inside a graph, for each plan and case; "-" where it does not fit."""
    from triton.runtime.errors import OutOfResources

    table = Table(title="µs a site in a CUDA graph, by plan")
    table.add_column("plan")
    for case in SWEPT:
        table.add_column(f"T{case.tokens} P{case.profiles} k{case.rank}", justify="right")
    device = torch.device("cuda")
    for name, plan in plans(chosen):
        cells = []
        for case in SWEPT:
            try:
                check(case, plan, dtype, device)
            except OutOfResources:
                cells.append("-")
                continue
            scene = Scene(case, plan, dtype, device, SITES)
            cells.append(f"{timed(captured(scene.run), SITES, repeats).median * 1e6:.1f}")
        table.add_row(name, *cells)
    return table
