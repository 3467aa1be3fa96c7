"""The parts of the serving benchmark that need no engine."""

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.serving import lockstep, report
from benchmarks.serving.cases import DECODE, Case, Load, cases
from benchmarks.serving.spread import Spread
from lethe_projections.projector import Projector, Site
from lethe_vllm.placement import Placement
from lethe_vllm.torch_backend import TorchBackend

SHORT = Case("lethe", 1, load=Load("short", 1, 3))


class Clock:
    """What both engines take their time from."""

    def __init__(self) -> None:
        self.now = 0.0


class Engine:
    """Takes so many seconds a step, for a batch of so many steps."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.llm_engine = self
        self.clock, self.seconds, self.left = clock, seconds, 0

    def has_unfinished_requests(self) -> bool:
        return self.left > 0

    def step(self) -> None:
        self.clock.now += self.seconds
        self.left -= 1


class Requests:
    """Of `steps` tokens each."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.edited: list[bool] = []

    def add(self, llm: Engine, _: Case, edited: bool) -> None:
        self.edited.append(edited)
        llm.left = self.steps


def pair(monkeypatch: pytest.MonkeyPatch, steps: int) -> tuple[lockstep.Pair, Requests]:
    clock = Clock()
    monkeypatch.setattr(lockstep.time, "perf_counter", lambda: clock.now)
    requests: Any = Requests(steps)
    stock, other = Engine(clock, 3.0), Engine(clock, 4.0)
    return lockstep.run(stock, other, SHORT, requests, random.Random(0)), requests


def test_a_pair_has_each_engine_s_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found, requests = pair(monkeypatch, steps=5)
    assert (found.stock, found.other, found.ratio) == (15.0, 20.0, 0.75)
    assert sorted(requests.edited) == [False, True]


def test_engines_that_did_not_generate_are_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="generating"):
        pair(monkeypatch, steps=2)


def test_the_cases_vary_what_is_claimed() -> None:
    found = list(cases(lora=True))
    assert len(found) == len(set(found))
    lethe = [case for case in found if case.engine == "lethe" and case.load == DECODE]
    assert {case.variants for case in lethe} == {0, 1, 8, 64, 256}
    assert {case.rank for case in lethe} == {1, 16, 64}
    assert {case.blocks for case in lethe} == {0, 1, 4}
    adapters = {(case.variants, case.rank, case.load.name) for case in found if case.adapters}
    assert {rank for _, rank, _ in adapters} == {1, 16, 64}
    assert adapters <= {(case.variants, case.rank, case.load.name) for case in found
                        if case.engine == "lethe"}, "one has nothing beside it"  # fmt: skip
    assert not [case for case in cases(lora=False) if case.adapters]
    assert {case.load.name for case in found if case.engine == "again"} == {"decode", "prefill"}
    assert Case("lethe", 256).requests == 256


def row(case: Case, ratio: float) -> dict[str, Any]:
    spread = vars(Spread.of([ratio - 0.01, ratio, ratio + 0.01]))
    rate = vars(Spread.of([100.0, 200.0, 300.0]))
    shown = {"name": case.name, "requests": case.requests, "ratio": spread}
    return asdict(case) | shown | {"tokens_per_second": rate, "stock_tokens_per_second": rate}


def test_the_document_keeps_its_text_and_gets_tables_and_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "DOCUMENT", tmp_path / "docs" / "benchmarks.md")
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks").mkdir()
    report.DOCUMENT.write_text(
        f"before\n{report.MARKED.begin}\nold figures\n{report.MARKED.end}\nafter\n"
    )
    results = {
        "environment": report.environment(),
        "throughput": {"eager": [row(Case("lethe", 8), 0.987), row(Case("lora", 8), 0.3)]},
    }
    for _ in range(2):
        report.write(results, tmp_path / "benchmarks" / "serving.json")
        text = report.DOCUMENT.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old figures" not in text
    assert (
        "| Lethe, 8 variants, rank 16, 4 blocks | decode | 64 | **0.987** (0.982 to 0.992) | 0.8% |"
        in text
    )
    assert "| 8 variants, rank 16, 4 blocks | decode | 3.3 |" in text
    assert (tmp_path / "docs" / "plots" / "throughput.svg").stat().st_size > 1000
    assert json.loads((tmp_path / "benchmarks" / "serving.json").read_text()) == results


@pytest.mark.parametrize("rank", [1, 16])
def test_the_bytes_shown_are_what_a_device_needs(rank: int) -> None:
    backend = TorchBackend(Placement(torch.bfloat16, torch.device("cpu")), 1)
    edit = Projector(Site(0, "down_proj"), torch.ones(rank, 30), torch.ones(rank, 20))
    [needed] = backend.needs([{edit.site: [edit]}]).values()
    assert needed == 2 * report.elements(rank, 30, 20)


def test_another_file_leaves_the_document_alone(tmp_path: Path) -> None:
    before = report.DOCUMENT.read_text()
    report.write({"environment": report.environment()}, tmp_path / "mine.json")
    assert report.DOCUMENT.read_text() == before
