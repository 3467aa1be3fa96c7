"""A pass that was killed goes on where it was, a finished one is reused, anything else refused."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lethe_projections import activations, moments_store, reference, windows
from lethe_projections.capture import Limits, SecondMoments, second_moments
from lethe_projections.errors import FitError
from lethe_projections.projector import Site

from .conftest import WORDS, edit, make_model

SITES = [Site(1, "down_proj"), Site(2, "block")]
TEXTS = tuple(
    " ".join(WORDS[(5 * start + step) % len(WORDS)] for step in range(3 + start % 7))
    for start in range(40)
)
Found = dict[Site, SecondMoments]


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three windows, the last one short."""
    monkeypatch.setattr(windows, "_SLICE", 8)
    monkeypatch.setattr(windows, "TEXTS", 16)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The texts of each forward pass."""
    seen: list[int] = []
    read = activations.read

    def counted(model: Any, batch: Any, sites: Any) -> Any:
        seen.append(len(batch.input_ids))
        return read(model, batch, sites)

    monkeypatch.setattr(activations, "read", counted)
    return seen


def limits(folder: Path | None, **others: Any) -> Limits:
    return Limits(3, store=folder, save_every=0, **others)


def summed(model: Any, tokenizer: Any, folder: Path | None, texts: Any = TEXTS) -> Found:
    return second_moments(model, tokenizer, texts, SITES, limits(folder))


def same(left: Found, right: Found) -> bool:
    return all(
        left[site].count == right[site].count > 0
        and (left[site].total - right[site].total).norm() <= 1e-12 * right[site].total.norm()
        for site in SITES
    )


def file_in(folder: Path) -> Path:
    [file] = folder.glob("*.safetensors")
    return file


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


def test_a_finished_pass_is_reused_without_a_forward_pass(
    model: Any, tokenizer: Any, tmp_path: Path, passes: list[int]
) -> None:
    first = summed(model, tokenizer, tmp_path)
    assert passes
    passes.clear()
    assert same(summed(model, tokenizer, tmp_path), first)
    assert same(summed(make_model(), tokenizer, tmp_path, iter(TEXTS)), first)
    assert passes == []


def test_whatever_decides_the_sums_has_its_own_file(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    def run(model: Any = model, texts: Any = TEXTS, sites: Any = SITES, **others: Any) -> None:
        second_moments(model, tokenizer, texts, sites, limits(tmp_path, **others))

    run()
    run()
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    run(model=make_model(1))
    run(model=make_model().double())
    run(texts=TEXTS[1:])
    run(sites=SITES[:1])
    run(max_tokens=3)
    run(special_tokens=False)
    assert len(list(tmp_path.glob("*.safetensors"))) == 7


def test_weights_changed_in_memory_are_another_model(model: Any, tokenizer: Any) -> None:
    before = moments_store.key(model)
    weight = model.model.layers[1].mlp.down_proj.weight
    original = weight.detach().clone()
    with torch.no_grad():
        weight += torch.outer(torch.ones(len(weight)), torch.ones(weight.shape[1]))
    assert moments_store.key(model) != before
    with torch.no_grad():
        weight.copy_(original)
    assert moments_store.key(model) == before != moments_store.key(model, sites=1)


def test_a_model_with_edits_on_it_neither_stores_nor_takes(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    plain = summed(model, tokenizer, tmp_path)
    with reference.installed(model, [edit("block", 0)]):
        edited = summed(model, tokenizer, tmp_path)
        assert not same(edited, plain)
        assert same(edited, summed(model, tokenizer, None))
    assert same(summed(model, tokenizer, tmp_path), plain)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def changed(number: int) -> list[str]:
    """The texts with another one at a place."""
    return [*TEXTS[:number], "bread", *TEXTS[number + 1 :]]


@pytest.mark.parametrize("texts", [changed(20), changed(39), TEXTS[:39], TEXTS[:20], (*TEXTS, "a")])
def test_text_that_begins_alike_and_then_differs_is_refused(
    model: Any, tokenizer: Any, tmp_path: Path, texts: Any
) -> None:
    whole = summed(model, tokenizer, tmp_path)
    with pytest.raises(FitError, match="begins alike and then differs"):
        summed(model, tokenizer, tmp_path, texts)
    assert same(summed(model, tokenizer, tmp_path), whole)


def test_other_text_is_refused_by_a_pass_that_was_killed(
    model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(monkeypatch, model, tokenizer, tmp_path)
    for texts in (changed(20), TEXTS[:16]):
        with pytest.raises(FitError, match="begins alike and then differs"):
            summed(model, tokenizer, tmp_path, texts)
    assert same(summed(model, tokenizer, tmp_path), summed(model, tokenizer, None))


def rewritten(file: Path, **changes: Any) -> None:
    with safe_open(file, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        metadata = opened.metadata()
    tensors.update(changes.pop("tensors", {}))
    save_file(tensors, file, {**metadata, **changes})


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: file.write_bytes(b"PK\3\4 a pickle"),
        lambda file: save_file({"x": torch.ones(2)}, file),
        lambda file: rewritten(file, lethe_moments="{}"),
        lambda file: rewritten(file, lethe_moments='{"key": "of another"}'),
        lambda file: rewritten(file, tensors={"layers.1.down_proj": torch.ones(2, 2)}),
        lambda file: rewritten(
            file, tensors={"layers.0.block": torch.ones(2, 2, dtype=torch.float64)}
        ),
        lambda file: rewritten(file, tensors={"else": torch.ones(2, 2, dtype=torch.float64)}),
    ],
    ids=["cut", "pickle", "foreign", "empty", "key", "dtype", "site", "name"],
)
def test_a_file_that_holds_anything_else_is_refused_and_kept(
    model: Any, tokenizer: Any, tmp_path: Path, damage: Any
) -> None:
    summed(model, tokenizer, tmp_path)
    file = file_in(tmp_path)
    damage(file)
    damaged = file.read_bytes()
    with pytest.raises(FitError, match=r"delete the file to sum anew"):
        summed(model, tokenizer, tmp_path)
    assert file.read_bytes() == damaged


def test_sums_are_saved_no_more_often_than_asked(
    model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[moments_store.Place] = []
    save = moments_store.Store.save

    def noted(store: moments_store.Store, sums: moments_store.Sums) -> None:
        places.append(sums.place)
        save(store, sums)

    monkeypatch.setattr(moments_store.Store, "save", noted)
    second_moments(model, tokenizer, TEXTS, SITES, Limits(3, store=tmp_path, save_every=3600))
    [last] = places
    assert last.finished
    assert last.window == 2


_CHILD = """
import sys
from pathlib import Path
from lethe_projections import activations, windows
from tests.unit.projections import conftest
from tests.unit.projections.test_moments_store import TEXTS, summed

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


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with moments_store.opened(tmp_path, "k", 0):
            order.append("second")

    with moments_store.opened(tmp_path, "k", 0):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
