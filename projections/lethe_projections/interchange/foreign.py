"""Files that other programs wrote: read once, within a size limit. Knows no format's meaning."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from lethe_projections.errors import InterchangeError

MAX_BYTES = 2**30
"""Twice the largest artifact: exported factors are padded."""

_EXACT = {torch.float32, torch.float16, torch.bfloat16}
"""What float32, the artifact's type, holds without rounding."""


@dataclass(frozen=True, eq=False)
class Foreign:
    """A file's content.

    Attributes:
        path: where it was, for messages.
        data: its bytes.
    """

    path: Path
    data: bytes

    @classmethod
    def read(cls, path: str | Path, max_bytes: int = MAX_BYTES) -> Self:
        """Reads a whole file, once, so that its sha256 is that of what is understood.

        Raises:
            InterchangeError: it cannot be read, or is larger than the limit.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                # One byte past the limit is enough to know, however large the file says it is.
                data = file.read(max_bytes + 1)
        except OSError as error:
            raise InterchangeError(
                f"{path}: expected a readable file, found {error.strerror}; check the path"
            ) from error
        if len(data) > max_bytes:
            raise InterchangeError(
                f"{path}: expected at most {max_bytes} bytes, found more; is this the right file?"
            )
        return cls(path, data)

    @property
    def sha256(self) -> str:
        """64 hex digits over the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors of a safetensors file, in order of name.

        Returns:
            float32, finite, on the CPU.

        Raises:
            InterchangeError: it is no sound safetensors file, holds no tensor, or one that is not
                finite, or one of a type that float32 would round.
        """
        try:
            found = safetensors.torch.load(self.data)
        except SafetensorError as error:
            raise InterchangeError(
                f"{self.path}: expected a sound safetensors file, found {error}; save it with "
                "safetensors (pickled .bin and .pt files are never read)"
            ) from error
        if not found:
            raise InterchangeError(f"{self.path}: expected tensors, found none; save it again")
        return {name: self._exact(name, found[name]) for name in sorted(found)}

    def _exact(self, name: str, tensor: Tensor) -> Tensor:
        if tensor.dtype not in _EXACT:
            raise InterchangeError(
                f"{self.path}: {name:.120}: expected float32, float16 or bfloat16, found "
                f"{str(tensor.dtype).removeprefix('torch.')}, which float32 may not hold exactly; "
                "convert it"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise InterchangeError(
                f"{self.path}: {name:.120}: expected finite values, found NaN or infinity; "
                "make it again"
            )
        return tensor.to(torch.float32)
