"""How a method of vLLM's is wrapped, once per process, and only if it is the one that is known."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from lethe_vllm.errors import UnsupportedError

Method = Callable[..., Any]

_MARK = "_lethe_seam"


def seam(owner: Any, name: str, parameters: str, wrap: Callable[[Method], Method]) -> None:
    """Replaces a method by `wrap(method)`, unless that was done before.

    Args:
        owner: a class or a module.
        name: of its method or function.
        parameters: names that it takes, first to last as far as they are relied on.
        wrap: given the original.

    Raises:
        UnsupportedError: there is no such method, or it takes other parameters.
    """
    original = known(owner, name, parameters)
    if hasattr(original, _MARK):
        return
    wrapped = functools.wraps(original)(wrap(original))
    setattr(wrapped, _MARK, True)
    setattr(owner, name, wrapped)


def known(owner: Any, name: str, parameters: str) -> Method:
    """A method of vLLM's, if it is as Lethe knows it; arguments as of `seam`.

    Raises:
        UnsupportedError: there is no such method, or it takes other parameters.
    """
    method: Method | None = vars(owner).get(name)
    found = list(inspect.signature(method).parameters) if callable(method) else None
    expected = parameters.split()
    if method is None or found is None or found[: len(expected)] != expected:
        where = getattr(owner, "__qualname__", owner.__name__)
        raise UnsupportedError(
            f"this vLLM: expected {where}.{name}({', '.join(expected)}, ...), found "
            f"{'none' if found is None else ', '.join(found)}; Lethe does not know this version: "
            "install one from docs/compatibility.md"
        )
    return method
