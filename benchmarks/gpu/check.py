"""That the kernel is right on this GPU, before anything is timed."""

import torch
from torch import Tensor

from benchmarks.gpu.cases import Case
from benchmarks.gpu.scene import Scene
from benchmarks.gpu.timing import captured
from lethe_vllm.plan import Plan

TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.2e-2}
"""Relative error of a change: rounding of z and of y, with changes as large as y itself."""


def check(case: Case, plan: Plan, dtype: torch.dtype, device: torch.device) -> float:
    """Runs a case in and out of a CUDA graph, twice each, and compares it with the formula in fp64.

    Returns:
        The relative error of the change.

    Raises:
        SystemExit: it is wrong, it differs from run to run, or it left a split waiting.
    """
    scene = Scene(case, plan, dtype, device)
    for pool in scene.pools:
        pool.tensors.B.normal_()
    before = scene.ys[0].clone()
    wanted = change(scene)
    scene.space.partial.fill_(float("nan"))
    scene.space.ready.fill_(float("nan"))

    def rerun() -> None:
        scene.ys[0].copy_(before)
        scene.run()

    outcomes = []
    for run in (rerun, rerun, captured(rerun)):
        run()
        torch.cuda.synchronize()
        outcomes.append(scene.ys[0].clone())
    found = outcomes[0].double() - before.double()
    error = float((found - wanted).norm() / (wanted.norm() or 1.0))
    if not error < TOLERANCE[dtype]:
        raise SystemExit(
            f"{case}: expected the formula in fp64, found relative error {error:.2e}; the kernel "
            "is wrong on this GPU: do not serve with it, and report the case"
        )
    if any(not torch.equal(outcomes[0], other) for other in outcomes) or scene.space.meeting.any():
        raise SystemExit(
            f"{case}: expected the same bits each time and all splits met, found otherwise; splits "
            "race on this GPU: serve with splits=1, and report the case"
        )
    return error


def change(scene: Scene) -> Tensor:
    """What the formula adds at the first site, fp64 [T, d_out], profile by profile."""
    y, x, residual, t = scene.ys[0], scene.xs[0], scene.residuals[0], scene.pools[0].tensors
    read = (y if x is None else x) if residual is None else y + residual
    wanted = torch.zeros(y.shape, dtype=torch.float64, device=y.device)
    for slot in range(scene.case.profiles):
        tokens = torch.from_numpy(scene.owners == slot).to(y.device)
        rows = t.rows[slot, : scene.case.rank].long()
        z = read[tokens].double() @ t.A[rows].double().T + t.a[rows].double()
        wanted[tokens] = z @ t.B[rows].double()
    return wanted
