"""Compiles the edit's kernel for a GPU that need not be there; exits with what is wrong, if it is.

    python -m tests.unit.plugin.compile_kernel 90 bf16

Run without TRITON_INTERPRET. What the interpreter takes, the compiler may refuse.
"""

import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lethe_vllm import kernel, plan
from lethe_vllm.launch import Activations
from lethe_vllm.pool_tensors import PoolTensors
from lethe_vllm.tiles import TableTensors

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Shared memory that a program may have, by compute capability."""

ALIGNED = [["tt.divisibility", 16]]
GATE_LIMIT = 12  # of PoolTensors, the one number that need not be a multiple of 16


def signature(dtype: str) -> dict[str, Any]:
    """Types of the kernel's arguments, as `launch` passes them."""
    factors, floats, ints = f"*{dtype}", "*fp32", "*i32"
    return {
        "io": Activations(*[factors] * 3, *["i32"] * 5),
        "pool": PoolTensors(
            factors, factors, floats, ints, floats, floats, "*i8", *[ints] * 4, *["i32"] * 2
        ),
        "table": TableTensors(*[ints] * 5),
        "partial": floats,
        "ready": factors,
        "meeting": ints,
    }


def compiled(capability: int, dtype: str) -> Any:
    """The binary of the plan that an engine would use, with everything in it."""
    chosen = plan.Plan(*plan.BLOCKS[DTYPES[dtype].itemsize], programs=132)
    constants = {
        "HAS_RESIDUAL": True, "READS": True, "WRITES": True, "SPLITS": chosen.splits,
        "NARROW": chosen.narrow, "WIDE": chosen.wide,
    }  # fmt: skip
    types = signature(dtype)
    attributes = {
        (n, m): ALIGNED
        for n, name in enumerate(("io", "pool", "table"))
        for m in range(len(types[name]))
        if (n, m) != (1, GATE_LIMIT)
    } | {(n,): ALIGNED for n in (3, 4, 5)}
    types |= dict.fromkeys(constants, "constexpr")
    return triton.compile(
        ASTSource(kernel.edit, types, constants, attributes),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": chosen.warps, "num_stages": chosen.stages},
    )


def main(capability: int, dtype: str) -> None:
    binary = compiled(capability, dtype)
    if binary.metadata.shared > SHARED[capability]:
        raise SystemExit(f"{binary.metadata.shared} bytes of shared memory do not fit")
    for wanted in ("cp.async", "atom.global.gpu.release", "ld.global.gpu.acquire"):
        if wanted not in binary.asm["ptx"]:
            raise SystemExit(f"expected {wanted} in the code: loads ahead, and splits that wait")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
