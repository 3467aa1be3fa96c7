"""A plugin of vLLM's, for tests alone: takes a site out of a running engine, and puts it back."""

from typing import Any

_taken: dict[int, tuple[Any, type]] = {}


def register() -> None:
    """Called in every process of vLLM's; its development server can then call the methods."""
    from lethe_vllm.worker import LetheWorker

    LetheWorker.break_block = _break_block  # type: ignore[attr-defined]
    LetheWorker.repair = _repair  # type: ignore[attr-defined]


def _break_block(self: Any, engine: int, layer: int) -> None:
    """Gives a block of one engine the class that it had before it was wrapped."""
    from lethe_vllm import installation

    if self.vllm_config.parallel_config.data_parallel_index != engine:
        return
    model: Any = installation.current().model()
    block = model.model.layers[layer]
    _taken[layer] = (block, type(block))
    block.__class__ = type(block).__mro__[1]


def _repair(self: Any) -> None:
    while _taken:
        _, (block, wrapped) = _taken.popitem()
        block.__class__ = wrapped
