"""KL a token: against sums written out."""

import math

import pytest
import torch

from lethe_projections.evaluation.metrics import divergence


def test_divergence_is_the_sum_over_the_vocabulary_of_p_log_p_over_q() -> None:
    p, q = [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]
    expected = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert expected == pytest.approx(0.25 * math.log(2))
    found = divergence.per_token(torch.tensor([p, p]).log(), torch.tensor([q, p]).log())
    assert found.tolist() == pytest.approx([expected, 0.0], abs=1e-7)


def test_divergence_is_of_the_base_from_the_variant_not_the_reverse() -> None:
    p, q = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
    forward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(divergence.per_token(p, q)) == pytest.approx(forward, rel=1e-5)
    assert float(divergence.per_token(q, p)) != pytest.approx(forward, rel=1e-2)


def test_a_token_that_the_base_rules_out_adds_nothing() -> None:
    base = torch.tensor([[1.0, 0.0]]).log()
    variant = torch.tensor([[0.5, 0.5]]).log()
    assert divergence.per_token(base, variant).tolist() == pytest.approx([math.log(2)])
    assert divergence.per_token(base, base).tolist() == [0.0]


def test_a_token_that_only_the_variant_rules_out_costs_without_end() -> None:
    base = torch.tensor([[0.5, 0.5]]).log()
    variant = torch.tensor([[1.0, 0.0]]).log()
    assert divergence.per_token(base, variant).tolist() == [math.inf]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_dtype_that_scores_come_in_changes_no_more_than_their_own_rounding(
    dtype: torch.dtype,
) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 5, 50_000, generator=generator, dtype=torch.float64)
    base, variant = scores.log_softmax(-1).to(dtype)
    whole = divergence.per_token(base.double(), variant.double())
    assert divergence.per_token(base, variant).tolist() == whole.tolist()
    assert whole.min() > 0.5
