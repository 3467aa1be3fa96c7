"""Compiles the edit's kernel for a GPU that need not be there; exits with what is wrong, if it is.

    python -m tests.unit.plugin.compile_kernel 90 bfloat16

Run without TRITON_INTERPRET. What the interpreter takes, the compiler may refuse.
"""

import sys
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from lethe_vllm import kernel, launch, plan
from lethe_vllm.pool import Pool
from lethe_vllm.pool_tensors import Capacity
from lethe_vllm.tiles import Table

SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Shared memory that a program may have, by compute capability."""

CPU = torch.device("cpu")
TOKENS, WIDTH = 100, 576


class Absent:
    """Triton's driver of a GPU of this compute capability, as far as compiling asks."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0


def compiled(dtype: torch.dtype) -> Any:
    """The binary that a launch would run, its arguments as `launch` passes them."""
    chosen = plan.Plan(*plan.BLOCKS[dtype.itemsize], programs=132)
    capacity = Capacity(slots=4, rows=64, rank=128, gates=3, slot_gates=2)
    pool = Pool(capacity, WIDTH, WIDTH, dtype, CPU)
    table = Table(chosen, TOKENS, capacity.slots, CPU)
    space = launch.Workspace(chosen, capacity, TOKENS, dtype, CPU)
    y, residual = (torch.zeros(TOKENS, WIDTH, dtype=dtype) for _ in range(2))
    binaries = []
    real = kernel.edit.run

    def compile_only(*arguments: Any, warmup: bool, **options: Any) -> None:
        binaries.append(real(*arguments, warmup=not warmup, **options))

    kernel.edit.run = compile_only
    launch.edit_(y, None, residual, pool.at(0), table, space)
    (binary,) = binaries
    return binary


def main(capability: int, dtype: str) -> None:
    driver.set_active(Absent(capability))
    binary = compiled(getattr(torch, dtype))
    if binary.metadata.shared > SHARED[capability]:
        raise SystemExit(f"{binary.metadata.shared} bytes of shared memory do not fit")
    for wanted in ("cp.async", "atom.global.gpu.release", "ld.global.gpu.acquire"):
        if wanted not in binary.asm["ptx"]:
            raise SystemExit(f"expected {wanted} in the code: loads ahead, and splits that wait")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
