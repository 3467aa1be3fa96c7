"""Triton's interpreter, taught bfloat16 as a GPU has it. Import it before a kernel runs.

Triton 3.7's multiplies the bits of bfloat16 numbers as if they were integers, and cuts where
hardware rounds to the nearest.
"""

from typing import Any

import numpy as np
import torch
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

_dot = InterpreterBuilder.create_dot
_cast = InterpreterBuilder.cast_impl


def _widened(handle: Any) -> Any:
    if handle.dtype.scalar != tl.bfloat16:
        return handle
    return TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)


def dot(builder: Any, a: Any, b: Any, *rest: Any) -> Any:
    return _dot(builder, _widened(a), _widened(b), *rest)


def cast(builder: Any, source: Any, target: Any) -> Any:
    if (source.dtype.scalar, target.scalar) != (tl.float32, tl.bfloat16):
        return _cast(builder, source, target)
    rounded = torch.from_numpy(np.ascontiguousarray(source.data)).bfloat16()
    return TensorHandle(rounded.view(torch.uint16).numpy(), tl.bfloat16)


InterpreterBuilder.create_dot = dot
InterpreterBuilder.cast_impl = cast
