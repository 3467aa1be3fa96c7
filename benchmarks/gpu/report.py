"""Outcomes as a table and as JSON."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.gpu.measure import Outcome
from benchmarks.gpu.timing import Spread
from benchmarks.gpu.traffic import nbytes


def table(outcomes: Sequence[Outcome], itemsize: int, bandwidth: float) -> Table:
    """One row a case; the share is of what a copy reaches."""
    shown = Table(title=f"µs a site, median (quartiles); a copy moves {bandwidth / 1e9:.0f} GB/s")
    for name in ("site", "d_in", "d_out", "tokens", "profiles", "rank", "MB", "kernel, graph",
                 "of copy", "kernel, eager", "torch, graph", "torch, eager", "error"):  # fmt: skip
        shown.add_column(name, justify="left" if name == "site" else "right")
    for outcome in outcomes:
        case = outcome.case
        shown.add_row(
            case.hook, str(case.d_in), str(case.d_out), str(case.tokens), str(case.profiles),
            str(case.rank), f"{nbytes(case, itemsize) / 1e6:.2f}", _us(outcome.graph),
            f"{outcome.share:.0%}", _us(outcome.eager), _us(outcome.torch_graph),
            _us(outcome.torch_eager), f"{outcome.error:.1e}",
        )  # fmt: skip
    return shown


def write(outcomes: Sequence[Outcome], about: dict[str, Any], path: Path) -> None:
    """Everything measured, in seconds and bytes a second."""
    import torch
    import triton

    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "device": torch.cuda.get_device_name(),
    }
    document = versions | about | {"outcomes": [outcome.to_json() for outcome in outcomes]}
    path.write_text(json.dumps(document, indent=1) + "\n")


def _us(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.median * 1e6:.1f} ({spread.low * 1e6:.1f}-{spread.high * 1e6:.1f})"
