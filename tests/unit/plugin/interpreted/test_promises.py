"""The kernel beside equality: the same bits, untouched rows, exact gates, fixed memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lethe_projections.projector import Gate
from lethe_vllm import launch
from tests.unit.plugin.interpreted.scene import SMALL, Scene, check, edits

HELD = {0: edits(3, 1), 1: edits(20, 2, gates=(True, False))}
SLOTS = [0, 1, -1, 1, 0, 0]


def test_a_step_repeated_gives_the_same_bits() -> None:
    scene = Scene(torch.bfloat16, SMALL, HELD)
    first = check(scene, SLOTS)
    check(scene, [1] * 90)
    assert torch.equal(check(scene, SLOTS), first)


def test_neither_padding_nor_base_rows_are_read_or_written() -> None:
    scene = Scene(torch.float32, SMALL, HELD)
    y = torch.randn(12, 96)
    slots = np.array(SLOTS)
    wanted = scene.run(slots, y[:6], None, None)
    poisoned = y.clone()
    poisoned[6:] = torch.nan  # a batch padded for a graph
    poisoned[2] = torch.nan
    edited = scene.run(slots, poisoned, None, None)
    served = slots >= 0
    assert torch.equal(edited[:6][served], wanted[served])
    assert edited[6:].isnan().all()
    assert edited[2].isnan().all()


def test_a_hard_gate_is_decided_in_float32() -> None:
    # In bfloat16 w would be (1, -1), the sum 0, and the gate shut.
    w = torch.zeros(96)
    w[:2] = torch.tensor([1 + 2**-12, -1.0])
    held = {0: [replace(edits(1, 1)[0], gate=Gate(w, 0.0, True))]}
    y = torch.ones(2, 96).bfloat16()
    edited = Scene(torch.bfloat16, SMALL, held).run(np.array([0, -1]), y, None, None)
    assert not torch.equal(edited[0], y[0])
    shut = {0: [replace(held[0][0], gate=Gate(-w, 0.0, True))]}
    assert torch.equal(Scene(torch.bfloat16, SMALL, shut).run(np.array([0, -1]), y, None, None), y)


def test_rows_apart_in_memory_are_edited_alike() -> None:
    scene = Scene(torch.float32, SMALL, HELD)
    y, residual = torch.randn(6, 96), torch.randn(6, 96)
    wanted = scene.run(np.array(SLOTS), y, None, residual)
    whole = torch.zeros(6, 160)
    whole[:, :96] = y
    launch.edit_(whole[:, :96], None, residual, scene.pool.at(0), scene.table, scene.space)
    assert torch.equal(whole[:, :96], wanted)
    assert not whole[:, 96:].any()


def test_profiles_come_and_go_at_fixed_addresses() -> None:
    scene = Scene(torch.float32, SMALL, HELD)
    tensors = [part for part in scene.pool.tensors if isinstance(part, torch.Tensor)]
    addresses = [tensor.data_ptr() for tensor in tensors]
    scene.pool.drop(1)
    scene.held = {0: HELD[0]}
    check(scene, SLOTS)
    scene.held = {0: HELD[0], 1: edits(39, 7, gates=(None,))}
    scene.pool.put(1, scene.held[1])
    check(scene, SLOTS)
    assert [tensor.data_ptr() for tensor in tensors] == addresses


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("y", {"y": torch.zeros(6, 96, dtype=torch.float16)}),
        ("x", {"x": torch.zeros(6, 80)}),
        ("residual", {"residual": torch.zeros(5, 96)}),
        ("contiguous rows", {"y": torch.zeros(96, 6).T}),
        ("up to 5 tokens, as y, found 6", {"y": torch.zeros(5, 96)}),
    ],
)
def test_tensors_of_another_site_are_refused(name: str, wrong: dict[str, torch.Tensor]) -> None:
    scene = Scene(torch.float32, SMALL, HELD)
    scene.table.write(np.array(SLOTS))
    given = {"y": torch.zeros(6, 96), "x": None, "residual": None} | wrong
    with pytest.raises(ValueError, match=name):
        launch.edit_(**given, pool=scene.pool.at(0), table=scene.table, space=scene.space)
