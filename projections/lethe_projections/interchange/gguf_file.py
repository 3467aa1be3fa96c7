"""Reads a GGUF file's metadata and plain tensors. Knows nothing of what they mean.

Format: ggml-org/ggml, docs/gguf.md, versions 2 and 3, little-endian. Every length is checked
against the bytes that are left, so that a file cannot ask for more work than its size.
"""

import struct
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32

_STRING, _ARRAY = 8, 9
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_FLOATS: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
_MAX_DIMENSIONS = 4


@dataclass(frozen=True, eq=False)
class GGUF:
    """A file's content.

    Attributes:
        metadata: key to a number, truth value, text, or list of those.
        tensors: name to an array, float32 or float16, in the order of numpy (outermost first).
    """

    metadata: dict[str, Any]
    tensors: dict[str, npt.NDArray[Any]]

    @classmethod
    def parse(cls, data: bytes) -> "GGUF":
        """Reads a whole file.

        Raises:
            ValueError: another format, version or byte order; truncated; a name twice; a nested
                array; or a tensor that is neither float32 nor float16.
        """
        cursor = _Cursor(data)
        if cursor.take(4) != MAGIC:
            raise ValueError("another format than GGUF")
        version = cursor.number("I")
        if version not in VERSIONS:
            raise ValueError(f"version {version} (2 and 3, little-endian, are read)")
        tensor_count, field_count = cursor.number("Q"), cursor.number("Q")
        metadata: dict[str, Any] = {}
        for _ in range(field_count):
            _put(metadata, cursor.text(), cursor.value(cursor.number("I")))
        entries: dict[str, tuple[Any, ...]] = {}
        for _ in range(tensor_count):
            _put(entries, cursor.text(), cursor.entry())
        start = _aligned(cursor.offset, metadata.get("general.alignment", DEFAULT_ALIGNMENT))
        return cls(metadata, {name: _array(data, start, name, *e) for name, e in entries.items()})


class _Cursor:
    """Where in the bytes the reader is."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, size: int) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise ValueError(f"a length of {size} past the end of the file")
        taken, self.offset = self.data[self.offset : end], end
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.values()
        if kind not in _SCALARS:
            raise ValueError(f"a metadata value of unknown type {kind}")
        return self.number(_SCALARS[kind])

    def values(self) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        if kind == _ARRAY:
            raise ValueError("a nested array")
        # Each value takes bytes, so this ends at the end of the file at the latest.
        return [self.value(kind) for _ in range(count)]

    def entry(self) -> tuple[tuple[int, ...], int, int]:
        """Shape, data type and offset of a tensor."""
        dimensions = self.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape = tuple(self.number("Q") for _ in range(dimensions))
        # GGUF lists the innermost dimension first.
        return shape[::-1], self.number("I"), self.number("Q")


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    if name in found:
        raise ValueError(f"{name[:80]!r} twice")
    found[name] = value


def _aligned(offset: int, alignment: Any) -> int:
    if type(alignment) is not int or alignment < 1:
        raise ValueError(f"general.alignment {alignment!r:.80}")
    return -(-offset // alignment) * alignment


def _array(
    data: bytes, start: int, name: str, shape: tuple[int, ...], kind: int, offset: int
) -> npt.NDArray[Any]:
    if kind not in _FLOATS:
        raise ValueError(f"tensor {name[:80]!r} of type {kind}, neither float32 nor float16")
    begin, count = start + offset, prod(shape)
    if begin + count * _FLOATS[kind].itemsize > len(data):
        raise ValueError(f"tensor {name[:80]!r} past the end of the file")
    array: npt.NDArray[Any] = np.frombuffer(data, _FLOATS[kind], count, begin)
    return array.reshape(shape)
