"""A finished pass is reused, anything else that is found in its place refused."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lethe_projections import moments_store, reference
from lethe_projections.capture import Limits, second_moments
from lethe_projections.errors import FitError

from .conftest import edit, make_model
from .moments import SITES, TEXTS, changed, limits, same, summed

pytestmark = pytest.mark.usefixtures("small_windows")


def file_in(folder: Path) -> Path:
    [file] = folder.glob("*.safetensors")
    return file


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


@pytest.mark.parametrize("texts", [changed(20), changed(39), TEXTS[:39], TEXTS[:20], (*TEXTS, "a")])
def test_text_that_begins_alike_and_then_differs_is_refused(
    model: Any, tokenizer: Any, tmp_path: Path, texts: Any
) -> None:
    whole = summed(model, tokenizer, tmp_path)
    with pytest.raises(FitError, match="begins alike and then differs"):
        summed(model, tokenizer, tmp_path, texts)
    assert same(summed(model, tokenizer, tmp_path), whole)


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
