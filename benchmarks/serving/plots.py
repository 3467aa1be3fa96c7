"""The plots of docs/benchmarks.md, as SVG that is the same for the same figures."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams |= {"svg.hashsalt": "lethe", "axes.spines.top": False,
                        "axes.spines.right": False, "figure.figsize": (6.4, 3.6)}  # fmt: skip

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)

Results = dict[str, Any]


def write(results: Results, folder: Path) -> None:
    """One file a plot, of what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    if "throughput" in results:
        _by_variants(results["throughput"], folder / "throughput.svg")
    if "loading" in results:
        _gaps(results["loading"], folder / "loading.svg")


def _by_variants(by_mode: dict[str, list[Results]], path: Path) -> None:
    figure, axes = plt.subplots()
    for (mode, rows), style in zip(by_mode.items(), ("-", "--"), strict=False):
        for engine, label in (("lethe", "Lethe"), ("lora", "multi-LoRA")):
            chosen = [
                row for row in rows
                if row["engine"] == engine and row["load"]["name"] == "decode"
                and (row["rank"], row["blocks"]) == (16, 4)
            ]  # fmt: skip
            if chosen:
                _line(axes, chosen, f"{label}, {mode}", style, "C0" if engine == "lethe" else "C1")
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set(xlabel="variants in the batch (0: base only)", ylabel="throughput, stock vLLM = 1",
             ylim=(0, None), xscale="symlog", xlim=(-0.2, 300), xticks=(0, 1, 8, 64, 256),
             xticklabels=("0", "1", "8", "64", "256"))  # fmt: skip
    axes.legend(frameon=False)
    _save(figure, path)


def _line(axes: Any, rows: list[Results], label: str, style: str, colour: str) -> None:
    rows = sorted(rows, key=lambda row: int(row["variants"]))
    middle = [row["ratio"]["median"] for row in rows]
    below = [row["ratio"]["median"] - row["ratio"]["low"] for row in rows]
    above = [row["ratio"]["high"] - row["ratio"]["median"] for row in rows]
    variants = [row["variants"] for row in rows]
    axes.errorbar(variants, middle, (below, above), label=label, linestyle=style, color=colour,
                  marker="o", markersize=3, capsize=2)  # fmt: skip


def _gaps(by_reserved: Results, path: Path) -> None:
    figure, axes = plt.subplots()
    kinds = (("quiet", "nothing loads", "C0"), ("loading", "10 loads a second", "C1"))
    for (reserved, row), style in zip(by_reserved.items(), ("--", "-"), strict=False):
        for kind, label, colour in kinds:
            values = row[f"{kind}_percentiles_ms"]
            kept = f"{label}, {reserved} kept"
            axes.plot(values, range(1, len(values) + 1), style, color=colour, label=kept)
    axes.set(xlabel="ms between two tokens of a stream (cores kept from workers: 1 or 2)",
             ylabel="percentile", xlim=(0, None))  # fmt: skip
    axes.legend(frameon=False, loc="upper left")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
