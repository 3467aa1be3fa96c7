"""Rounding against groups computed by hand; and afterwards the weights are what they were."""

from typing import Any

import pytest
import torch

from lethe_projections import decoder, weight_rounding
from lethe_projections.errors import IncompatibleError

from .conftest import logits


def test_a_group_is_rounded_as_by_hand() -> None:
    # 3 bits: levels -3 to 3; scales 0.9 / 3 = 0.3, 6 / 3 = 2, and none for zeros.
    weight = torch.tensor([[0.9, -0.5, 0.1, 0.16, 6.0, -2.9, 0.5, -6.0], [0.0] * 4 + [3.0] * 4])
    expected = [[0.9, -0.6, 0.0, 0.3, 6.0, -2.0, 0.0, -6.0], [0.0] * 4 + [3.0] * 4]
    found = weight_rounding.rounded(weight, 3, 4)
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)


def test_a_row_that_no_group_divides_shares_one_scale() -> None:
    weight = torch.tensor([[3.0, 0.4, -1.6], [30.0, 4.0, -16.0]])
    found = weight_rounding.rounded(weight, 3, 2)
    assert torch.allclose(found, torch.tensor([[3.0, 0.0, -2.0], [30.0, 0.0, -20.0]]), atol=1e-5)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_no_weight_moves_by_more_than_half_a_level(bits: int) -> None:
    weight = torch.randn(5, 64, generator=torch.Generator().manual_seed(1))
    moved = (weight_rounding.rounded(weight, bits, 16) - weight).abs().unflatten(1, (-1, 16))
    scale = weight.unflatten(1, (-1, 16)).abs().amax(-1) / (2 ** (bits - 1) - 1)
    assert (moved.amax(-1) <= scale / 2 + 1e-6).all()
    assert moved.max() > 0


@pytest.mark.parametrize("fails", [False, True])
def test_blocks_are_rounded_until_the_block_ends(fails: bool, model: Any) -> None:
    before = {name: one.clone() for name, one in model.state_dict().items()}
    plain = logits(model)
    try:
        with weight_rounding.fewer_bits(model, 4, 16):
            inside = {name: one.clone() for name, one in model.state_dict().items()}
            assert not torch.equal(logits(model), plain)
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    changed = {name for name in before if not torch.equal(before[name], inside[name])}
    linear = {name for name in before if ".layers." in name and before[name].ndim == 2}
    assert changed == linear
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    assert torch.equal(logits(model), plain)


def test_a_block_with_another_matrix_is_refused(model: Any) -> None:
    decoder.layers(model)[1].mlp.experts = torch.nn.Conv1d(2, 2, 3)
    with pytest.raises(IncompatibleError, match=r"block 1, mlp.experts: expected torch.nn.Linear"):
        weight_rounding.matrices(model)
