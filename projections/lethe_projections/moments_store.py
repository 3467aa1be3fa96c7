"""Sums of a pass over text, kept on disk: a pass that was killed goes on, a finished one is reused.

One safetensors file a pass, named by all that decides the sums: the model as it is in memory,
library versions, sites, limits, special tokens and the first window of text. Knows nothing of how
the sums are made.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lethe_projections import durable
from lethe_projections.base_model import SAMPLES
from lethe_projections.errors import FitError, LetheError
from lethe_projections.moments import SecondMoments
from lethe_projections.projector import Site
from lethe_projections.windows import Window

_KEY = "lethe_moments"
_LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True)
class Place:
    """How far a pass is.

    Attributes:
        window: number of the last window read from, from 0.
        rows: how many of its rows were read.
        texts: sha256 over the windows up to and with it.
        finished: nothing follows.
    """

    window: int = 0
    rows: int = 0
    texts: str = ""
    finished: bool = False

    def rows_to_skip(self, number: int, window: Window, texts: str) -> int:
        """How many rows of the window at hand are in the sums already.

        Raises:
            FitError: the text is another than the sums were made from.
        """
        if not self.texts or (number > self.window and not self.finished):
            return 0
        if number > self.window or (number == self.window and texts != self.texts):
            raise _other_text()
        return len(window.rows) if number < self.window else self.rows

    def end(self, number: int) -> None:
        """Checks that the text did not end before this place.

        Raises:
            FitError: it did.
        """
        if number < self.window:
            raise _other_text()


@dataclass
class Sums:
    """What a pass has summed up, and how far it is."""

    moments: dict[Site, SecondMoments] = field(default_factory=dict)
    place: Place = Place()


def follow(texts: str, window: Window) -> str:
    """sha256 over the windows so far, `texts`, and the next one."""
    return hashlib.sha256(texts.encode() + window.digest).hexdigest()


def key(model: nn.Module, **decides: Any) -> str:
    """64 hex digits over the model as it is now, library versions and plain values.

    The model: its class, configuration, device, and of each weight the name, dtype, shape and up
    to 64 evenly spaced elements. Hooks are not seen.
    """
    total = hashlib.sha256()
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    about = [type(model).__name__, _configuration(model), versions, decides]
    total.update(json.dumps(about, sort_keys=True, default=str).encode())
    for name, weight in model.state_dict().items():
        about = [name, str(weight.dtype), list(weight.shape), weight.device.type]
        total.update(json.dumps(about).encode())
        total.update(_sample(weight))
    return total.hexdigest()


class Store:
    """One pass's file.

    Attributes:
        path: where it is or will be.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        self.path, self._every_s = path, every_s
        self._last = time.monotonic()

    def load(self, sites: Collection[Site], device: torch.device) -> Sums:
        """What was saved of these sites, or empty sums.

        Raises:
            FitError: the file is damaged, or no file of this pass.
        """
        if not self.path.exists():
            return Sums()
        try:
            with safe_open(self.path, "pt") as file:
                document = json.loads((file.metadata() or {})[_KEY])
                if document.pop("key") != self.path.stem:
                    raise ValueError("sums of another pass")
                count = document.pop("count")
                moments = {
                    Site.parse(name): SecondMoments.restored(_square(file, name, device), count)
                    for name in file.keys()  # noqa: SIM118, this is no mapping
                }
                if set(moments) != set(sites):
                    raise ValueError(f"the sites {sorted(map(str, moments))}")
                return Sums(moments, Place(**document))
        except (SafetensorError, LetheError, OSError, ValueError, KeyError, TypeError) as error:
            raise FitError(
                f"{self.path}: expected sums that Lethe wrote under this name, found {error}; "
                "delete the file to sum anew"
            ) from error

    def save_if_due(self, sums: Sums) -> None:
        """Saves if the last time is long enough ago."""
        if time.monotonic() - self._last >= self._every_s:
            self.save(sums)

    def save(self, sums: Sums) -> None:
        """Writes atomically: a kill leaves the old file or the new one.

        Raises:
            OSError: the folder is full or not writable.
        """
        [count] = {one.count for one in sums.moments.values()}
        document = {"key": self.path.stem, "count": count, **asdict(sums.place)}
        # Under the lock nobody else writes it; one left by a killed run is written over.
        partial = self.path.with_suffix(".partial")
        tensors = {str(site): one.lower for site, one in sums.moments.items()}
        save_file(tensors, partial, {_KEY: json.dumps(document)})
        durable.sync(partial)
        os.replace(partial, self.path)
        durable.sync(self.path.parent)
        self._last = time.monotonic()


@contextmanager
def opened(folder: Path, key: str, every_s: float) -> Iterator[Store]:
    """The file of a pass, for this process alone; a second one waits and finds the sums done.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Store(folder / f"{key}.safetensors", every_s)


def _other_text() -> FitError:
    return FitError(
        "store: expected the text that the stored sums were begun with, found one that begins "
        "alike and then differs; give that text, or another store folder"
    )


def _configuration(model: nn.Module) -> dict[str, Any]:
    config: Any = getattr(model, "config", None)
    found: dict[str, Any] = {} if config is None else config.to_dict()
    # Where it was loaded from and by what says nothing of what it is.
    return {k: v for k, v in found.items() if k[0] != "_" and k != "transformers_version"}


def _sample(weight: Tensor) -> bytes:
    flat = weight.detach().reshape(-1)
    picked = torch.linspace(0, max(0, len(flat) - 1), min(SAMPLES, len(flat)), dtype=torch.float64)
    return bytes(flat[picked.long().to(flat.device)].cpu().view(torch.uint8).numpy())


def _square(file: Any, name: str, device: torch.device) -> Tensor:
    tensor: Tensor = file.get_tensor(name)
    if tensor.dtype != torch.float64 or tensor.ndim != 2 or len(set(tensor.shape)) != 1:
        raise ValueError(f"{name} as {tensor.dtype} {list(tensor.shape)}")
    return tensor.to(device)
