"""`python -m benchmarks.gpu`: checks and times the kernel, prints a table, writes JSON."""

import argparse
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from benchmarks.gpu.cases import WIDTHS, cases

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description="Times the edit's kernel.")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--width", type=int, action="append", help="of WIDTHS; again for more")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--sweep", action="store_true", help="try other plans for a few cases")
    parser.add_argument("--out", type=Path, help="a file for everything measured, JSON")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    if not torch.cuda.is_available() or find_spec("triton") is None:
        raise SystemExit(
            "benchmarks.gpu: expected an NVIDIA GPU, with torch for CUDA and triton, found "
            f"{'no triton' if torch.cuda.is_available() else 'no GPU that torch can use'}; run it "
            "on a machine that has them"
        )
    # These import triton.
    from benchmarks.gpu import report
    from benchmarks.gpu.measure import measure
    from benchmarks.gpu.sweep import sweep
    from benchmarks.gpu.timing import copy_bandwidth
    from lethe_vllm import plan

    console = Console(width=180)
    dtype = DTYPES[options.dtype]
    chosen = plan.choose(dtype, 64, torch.device("cuda"))
    bandwidth = copy_bandwidth(options.repeats)
    outcomes = [
        measure(case, chosen, dtype, bandwidth, options.repeats)
        for case in track(list(cases(tuple(options.width or WIDTHS))), console=console)
    ]
    console.print(report.table(outcomes, dtype.itemsize, bandwidth))
    if options.sweep:
        console.print(sweep(chosen, dtype, options.repeats))
    if options.out:
        about = {"dtype": options.dtype, "copy_bandwidth": bandwidth, "plan": asdict(chosen)}
        report.write(outcomes, about, options.out)


if __name__ == "__main__":
    main()
