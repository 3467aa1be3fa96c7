"""The parts of the GPU benchmark that need no GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import traffic
from benchmarks.gpu.cases import SWEPT, Case, cases

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("case", "elements"),
    [
        (Case(5, 1, 3, 100, 100), 3 * 200 + 5 * 200),
        (Case(5, 1, 3, 100, 100, "block"), 3 * 200 + 5 * 300),
        (Case(6, 2, 3, 700, 100, "down_proj"), 2 * 3 * 800 + 6 * 900),
        (Case(6, 0, 3, 700, 100, "down_proj"), 0),
    ],
)
def test_every_factor_and_activation_counts_once(case: Case, elements: int) -> None:
    assert traffic.nbytes(case, 2) == 2 * elements
    assert traffic.nbytes(case, 4) == 4 * elements


def test_a_share_is_of_the_time_that_a_copy_would_take() -> None:
    case = Case(1, 1, 1, 100, 100)
    assert traffic.share(case, 2, seconds=8.0, bandwidth=100.0) == pytest.approx(1.0)


def test_cases_differ_and_profiles_share_their_tokens_evenly() -> None:
    found = list(cases())
    assert len(found) == len(set(found))
    assert all(case.tokens % max(case.profiles, 1) == 0 for case in [*found, *SWEPT])
    assert {case.profiles for case in found} >= {0, 1, 64, 256}
    assert max(case.tokens for case in found) == 8192
    assert {case.d_in for case in cases((64,))} == {64, 4096, 14336}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which would be timed")
def test_without_a_gpu_it_says_so_in_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("benchmarks.gpu: expected an NVIDIA GPU")
    assert len(done.stderr.splitlines()) == 1
