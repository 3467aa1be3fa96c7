"""Gradient descent on the factors of an edit, with the model frozen. Knows no method.

The same data, seed and versions give the same factors on one machine: the order is drawn from a
local generator, and nothing else is random.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from lethe_projections.errors import FitError
from lethe_projections.progress import Progress

_Item = TypeVar("_Item")


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Keeps gradients from the parameters, in evaluation mode; puts both back as they were."""
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    for parameter, _ in wanted:
        parameter.requires_grad_(False)
    model.eval()
    try:
        yield
    finally:
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)
        for module, mode in modes:
            module.training = mode


def draws(
    items: Sequence[_Item], size: int, steps: int, generator: torch.Generator
) -> list[list[_Item]]:
    """`steps` lists of `size` items: all of them in a random order, then in another, and so on."""
    order: list[int] = []
    while items and len(order) < size * steps:
        order += torch.randperm(len(items), generator=generator).tolist()
    return [[items[i] for i in order[k * size : (k + 1) * size]] for k in range(steps)]


def adam(parameters: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    """Adam over float32 leaves: updates as small as theirs would be rounded away in bf16."""
    leaves = [parameter.requires_grad_() for parameter in parameters]
    return torch.optim.Adam(leaves, lr=lr)


def descend(
    optimizer: torch.optim.Optimizer,
    steps: Sequence[_Item],
    loss: Callable[[_Item], Tensor],
    *,
    progress: bool,
) -> dict[str, float]:
    """One step of the optimizer for each item.

    Returns:
        `first_loss` and `last_loss`, means over the first and last tenth of the steps; nothing
        where there are no steps.

    Raises:
        FitError: a loss is not finite.
    """
    losses: list[float] = []
    with torch.enable_grad(), Progress(steps, "training", progress, unit="steps") as shown:
        shown.expect(len(steps), len(steps))
        for item in steps:
            optimizer.zero_grad()
            value = loss(item)
            losses.append(_finite(value, len(losses)))
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            shown.advance(1, 1)
    if not losses:
        return {}
    tenth = max(1, len(losses) // 10)
    return {"first_loss": _mean(losses[:tenth]), "last_loss": _mean(losses[-tenth:])}


def _finite(value: Tensor, step: int) -> float:
    number = float(value.detach())
    if not math.isfinite(number):
        raise FitError(
            f"training: expected a finite loss, found {number} at step {step}; lower the learning "
            "rate"
        )
    return number


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)
