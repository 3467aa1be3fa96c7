"""A pass that was killed goes on where it was, and ends as one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import activations
from lethe_projections.errors import FitError

from .moments import TEXTS, changed, same, summed

pytestmark = pytest.mark.usefixtures("small_windows")


class Killed(Exception):
    """Stands for the end of a process."""


def killed_after(monkeypatch: pytest.MonkeyPatch, model: Any, tokenizer: Any, folder: Path) -> None:
    """Runs until the seventh batch, in the second window."""
    with monkeypatch.context() as patch:
        read, calls = activations.read, iter(range(7))

        def mortal(*args: Any) -> Any:
            if next(calls, None) is None:
                raise Killed
            return read(*args)

        patch.setattr(activations, "read", mortal)
        with pytest.raises(Killed):
            summed(model, tokenizer, folder)


def test_a_killed_pass_goes_on_and_ends_as_one_that_was_not(
    model: Any,
    tokenizer: Any,
    tmp_path: Path,
    passes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = summed(model, tokenizer, None)
    batches = list(passes)
    passes.clear()
    killed_after(monkeypatch, model, tokenizer, tmp_path)
    assert passes == batches[:7]
    resumed = summed(model, tokenizer, tmp_path, iter(TEXTS))
    assert same(resumed, whole)
    assert passes == batches, "each batch was read once, none twice"


def test_other_text_is_refused_by_a_pass_that_was_killed(
    model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(monkeypatch, model, tokenizer, tmp_path)
    for texts in (changed(20), TEXTS[:16]):
        with pytest.raises(FitError, match="begins alike and then differs"):
            summed(model, tokenizer, tmp_path, texts)
    assert same(summed(model, tokenizer, tmp_path), summed(model, tokenizer, None))


_CHILD = """
import sys
from pathlib import Path
from lethe_projections import activations, windows
from tests.unit.projections import conftest
from tests.unit.projections.moments import summed

windows._SLICE, windows.TEXTS = 8, 16
read, calls = activations.read, []

def slow(*args):
    calls.append(1)
    if len(calls) == 8:
        print("half way", flush=True)
        sys.stdin.read()
    return read(*args)

activations.read = slow
summed(conftest.make_model(), conftest.make_tokenizer(), Path(sys.argv[1]))
"""


def test_a_process_that_is_killed_outright_loses_nothing(
    model: Any, tokenizer: Any, tmp_path: Path, passes: list[int]
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            # Sums agree to the bit where they are cut over as many threads.
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half way\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    resumed = summed(model, tokenizer, tmp_path)
    left = len(passes)
    assert same(resumed, summed(model, tokenizer, None))
    assert len(passes) - left == left + 7
