"""The closed forms against brute force: least squares over every token, no sums."""

import pytest
import torch
from torch import Tensor

from lethe_projections.errors import FitError
from lethe_projections.ridge import Ridge, key_factor, null_space_factor

from .conftest import rows


def brute_force(H: Tensor, T: Tensor, lam: float) -> Tensor:
    """argmin |H dW^T - T|^2 + lam |dW|^2, by least squares on the stacked system."""
    d = H.shape[1]
    stacked = torch.cat([H, lam**0.5 * torch.eye(d, dtype=torch.float64)])
    wanted = torch.cat([T, torch.zeros(d, T.shape[1], dtype=torch.float64)])
    return torch.linalg.lstsq(stacked, wanted, driver="gelsd").solution.T


@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_one_gate_a_request_is_the_whole_ridge_solution(requests: int, ridge: float) -> None:
    forget = [rows(seed, 5 + seed, 20).double() for seed in range(requests)]
    retain, R = rows(40, 60, 20).double(), rows(50, requests, 7).double()
    H = torch.cat([*forget, retain])
    T = torch.cat([R[i].expand(len(x), -1) for i, x in enumerate(forget)])
    T = torch.cat([T, torch.zeros(len(retain), 7, dtype=torch.float64)])
    moment = H.T @ H
    lam = ridge * float(moment.trace()) / 20
    V = Ridge.of(moment, ridge).solve(torch.stack([x.sum(dim=0) for x in forget]))
    expected = brute_force(H, T, lam)
    assert torch.allclose(R.T @ V, expected, atol=1e-8, rtol=0)
    assert torch.linalg.matrix_rank(expected) == requests
    assert expected.norm() > 0.1


def test_a_target_that_differs_from_token_to_token_is_solved_as_well() -> None:
    H, T = rows(0, 50, 12).double(), rows(1, 50, 4).double()
    moment = H.T @ H
    found = Ridge.of(moment, 0.1).solve(T.T @ H)
    expected = brute_force(H, T, 0.1 * float(moment.trace()) / 12)
    assert torch.allclose(found, expected, atol=1e-8, rtol=0)
    assert expected.norm() > 0.1


def test_sums_and_means_give_one_solution_when_both_sides_are_scaled() -> None:
    H = rows(0, 50, 12).double()
    whole = Ridge.of(H.T @ H, 0.1).solve(H[:3])
    mean = Ridge.of(H.T @ H / 50, 0.1).solve(H[:3] / 50)
    assert torch.allclose(whole, mean, atol=1e-12)


def test_the_key_factor_is_the_constrained_minimum() -> None:
    x, keys = rows(0, 400, 30).double(), rows(1, 3, 30).double()
    C = x.T @ x / len(x)
    A = key_factor(keys, C, 0.01)
    assert torch.allclose(A @ keys.T, torch.eye(3, dtype=torch.float64), atol=1e-9)
    full = C + 0.01 * C.diagonal().mean() * torch.eye(30, dtype=torch.float64)
    best = (A @ full @ A.T).trace()
    # Any other A with A k_i = e_i: move within the null space of the keys.
    inside = torch.linalg.pinv(keys) @ keys
    for seed in range(10, 15):
        step = rows(seed, 3, 30).double() @ (torch.eye(30, dtype=torch.float64) - inside)
        other = A + 0.01 * step
        assert torch.allclose(other @ keys.T, A @ keys.T, atol=1e-9)
        assert (other @ full @ other.T).trace() > best


def test_one_key_gives_the_ridge_form_of_the_paper() -> None:
    x, k = rows(0, 200, 20).double(), rows(1, 1, 20).double()
    C = x.T @ x / len(x)
    inverse = torch.linalg.inv(C + 0.1 * C.diagonal().mean() * torch.eye(20, dtype=torch.float64))
    assert torch.allclose(key_factor(k, C, 0.1), k @ inverse / (k @ inverse @ k.T))


def test_the_null_space_form_reads_nothing_of_retain_keys() -> None:
    retain, keys = rows(0, 40, 8).double() @ rows(1, 8, 30).double(), rows(2, 2, 30).double()
    A = null_space_factor(keys, retain.T @ retain / 40, 1e-6, 0.0)
    assert (retain @ A.T).abs().max() < 1e-9 * retain.norm(dim=1).max() * A.norm(dim=1).max()
    assert torch.allclose(A @ keys.T, torch.eye(2, dtype=torch.float64), atol=1e-9)
    # Control: the ridge form, with a ridge as small as is usual, reads a little.
    other = key_factor(keys, retain.T @ retain / 40, 0.01)
    assert (retain @ other.T).abs().max() > 1e-4


def test_the_null_space_form_is_the_papers_for_one_key() -> None:
    x, k = rows(0, 40, 8).double() @ rows(1, 8, 20).double(), rows(2, 1, 20).double()
    C = x.T @ x / 40
    P = torch.eye(20, dtype=torch.float64) - torch.linalg.pinv(C) @ C
    inside = (k @ P @ k.T).item()
    expected = (P @ k[0]) / (0.3 * inside + inside)
    assert torch.allclose(null_space_factor(k, C, 1e-6, 0.3)[0], expected, atol=1e-9)
    assert expected.norm() > 0.01


def test_keys_that_depend_on_each_other_are_refused() -> None:
    k, eye = rows(1, 1, 20).double(), torch.eye(20, dtype=torch.float64)
    with pytest.raises(FitError, match="nearly alike"):
        key_factor(torch.cat([k, 2 * k]), eye, 0.1)
    with pytest.raises(FitError, match="nearly alike"):
        null_space_factor(torch.cat([k, 2 * k]), eye, 2.0, 0.1)
    with pytest.raises(FitError, match="second moment"):
        key_factor(k, torch.zeros(20, 20, dtype=torch.float64), 0.1)
    with pytest.raises(FitError, match="small"):
        null_space_factor(k, eye, 0.1, 0.1)
