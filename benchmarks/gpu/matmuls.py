"""The same edit as two matrix products of torch, the factors of each site stacked beforehand."""

from collections.abc import Callable

import torch

from benchmarks.gpu.scene import Scene


def two_matmuls(scene: Scene) -> Callable[[], None]:
    """Runs every site of a scene by two products, or batched products where profiles share it.

    It is given what the kernel has to find out: tokens sorted by profile, each as many, one rank.
    """
    case = scene.case
    tokens = case.tokens // case.profiles
    stacks = [
        tuple(
            factor.view(case.profiles, case.rank, -1)
            for factor in (pool.tensors.A.clone(), pool.tensors.B.clone())
        )
        for pool in scene.pools
    ]
    sites = list(zip(scene.ys, scene.xs, scene.residuals, stacks, strict=True))

    def run() -> None:
        for y, x, residual, (A, B) in sites:
            read = y if x is None else x
            read = read if residual is None else read + residual
            if case.profiles == 1:
                y.addmm_(read @ A[0].T, B[0])
            else:
                z = torch.bmm(read.view(case.profiles, tokens, -1), A.transpose(1, 2))
                y.view(case.profiles, tokens, -1).baddbmm_(z, B)

    return run
