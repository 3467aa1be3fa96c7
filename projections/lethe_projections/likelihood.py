"""What a model says of each token, computed only where it is asked, gradients included.

The output head is a fifth of a small model's work; it runs on the asked rows alone.
Knows nothing of methods.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from lethe_projections.passages import Passages


def logits(model: nn.Module, batch: Passages, at: Tensor) -> Tensor:
    """What the model expects next at the marked tokens.

    Args:
        model: a transformers decoder.
        batch: the texts.
        at: [b, t] bool.

    Returns:
        [n, vocabulary] float32, in order of row and place.
    """
    device = next(model.parameters()).device
    with _head_reads(model, at.to(device)):
        output = model(
            input_ids=batch.tokens.input_ids.to(device),
            attention_mask=batch.tokens.attention_mask.to(device),
            use_cache=False,
        )
    found: Tensor = output.logits
    return found.float()


def surprise(model: nn.Module, batch: Passages, predicted: Tensor) -> Tensor:
    """-log p of each marked token, [n] in nats.

    Args:
        model: a transformers decoder.
        batch: the texts.
        predicted: [b, t] bool, false on a row's first token, which nothing predicts.
    """
    found = logits(model, batch, predicted.roll(-1, dims=1))
    targets = batch.tokens.input_ids[predicted].to(found.device)
    return nn.functional.cross_entropy(found, targets, reduction="none")


def divergence(base: Tensor, edited: Tensor) -> Tensor:
    """Mean KL(base || edited) in nats per row, of logits [n, vocabulary]."""
    left, right = base.log_softmax(-1), edited.log_softmax(-1)
    return (left.exp() * (left - right)).sum(-1).mean()


@contextmanager
def _head_reads(model: Any, rows: Tensor) -> Iterator[None]:
    def select(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (args[0][rows],)

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()
