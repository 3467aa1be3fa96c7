"""The bound against whole distributions, of which all is known."""

import math

import pytest
import torch
from torch import Tensor

from lethe_server.compare.divergence import kl_lower_bound

VOCABULARY = 200


def distribution(seed: int, sharpness: float = 2.0) -> Tensor:
    """[VOCABULARY] log-probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(VOCABULARY, generator=generator, dtype=torch.float64) * sharpness
    return logits.log_softmax(-1)


def told(logprobs: Tensor, top: int) -> dict[int, float]:
    """In float32, as an engine does."""
    values, tokens = logprobs.float().topk(top)
    return dict(zip(tokens.tolist(), values.tolist(), strict=True))


def kl(p: Tensor, q: Tensor) -> float:
    return float((p.exp() * (p - q)).sum())


def coarsened(p: Tensor, q: Tensor, top: int) -> float:
    """KL of the two histograms, as torch has it."""
    kept = sorted(told(p, top).keys() & told(q, top).keys())
    others = [token for token in range(VOCABULARY) if token not in kept]
    buckets = [torch.cat([one[kept], one[others].logsumexp(0)[None]]) for one in (p, q)]
    return float(
        torch.nn.functional.kl_div(buckets[1], buckets[0], reduction="sum", log_target=True)
    )


@pytest.mark.parametrize("top", [1, 5, 20, 80])
def test_it_is_the_divergence_of_the_coarsened_distributions_and_at_most_the_whole(
    top: int,
) -> None:
    for seed in range(40):
        p = distribution(seed)
        q = (p + 0.8 * distribution(seed + 1000)).log_softmax(-1)
        bound = kl_lower_bound(told(p, top), told(q, top))
        assert bound == pytest.approx(coarsened(p, q, top), abs=1e-5)
        assert bound <= kl(p, q) + 1e-5
        assert kl(p, q) > 0.05, "hardly different: this test would prove nothing"


def test_with_all_tokens_told_it_is_the_divergence() -> None:
    p, q = distribution(1), distribution(2)
    bound = kl_lower_bound(told(p, VOCABULARY), told(q, VOCABULARY))
    assert bound == pytest.approx(kl(p, q), rel=1e-5)
    assert bound > 1


def test_it_grows_with_what_is_told() -> None:
    p = distribution(1)
    q = (p + 0.8 * distribution(2)).log_softmax(-1)
    bounds = [kl_lower_bound(told(p, top), told(q, top)) for top in (1, 5, 20, 80, VOCABULARY)]
    assert bounds == sorted(bounds)
    assert bounds[0] < 0.9 * bounds[-1]


def test_a_distribution_is_at_no_distance_from_itself() -> None:
    for sharpness in (0.1, 2.0, 20.0):
        same = told(distribution(3, sharpness), 20)
        assert kl_lower_bound(same, same) == 0


def test_nothing_in_common_is_one_bucket_and_says_nothing() -> None:
    assert kl_lower_bound({1: math.log(0.9)}, {2: math.log(0.9)}) == 0


def test_what_rounding_leaves_of_the_rest_makes_no_infinity() -> None:
    p, q = {1: math.log(0.5)}, {1: 1e-7}
    bound = kl_lower_bound(p, q)
    # With q(rest) = 1e-6 at least: 0.5 log(0.5 / 1) + 0.5 log(0.5 / 1e-6).
    assert bound == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5e6), rel=1e-5)
    assert kl_lower_bound(q, p) == pytest.approx(math.log(2), rel=1e-5)
