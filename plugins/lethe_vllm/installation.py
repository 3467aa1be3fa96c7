"""What is installed in this worker process: sites, into which model, and where it runs."""

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lethe_projections.projector import Site
from lethe_vllm.backend import Backend
from lethe_vllm.bank import SLOTS, FactorBank
from lethe_vllm.edit import live
from lethe_vllm.errors import UnavailableError, UnsupportedError
from lethe_vllm.install import check_cut, install, lost, widths
from lethe_vllm.options import Declared
from lethe_vllm.placement import Placement
from lethe_vllm.routing import Router
from lethe_vllm.torch_backend import TorchBackend


@dataclass(frozen=True)
class Installation:
    """One model's sites.

    Attributes:
        model: the wrapped model.
        declared: sites on all ranks together.
        installed: those on this rank.
        absent: those of this rank's blocks that the model does not have, and why.
    """

    model: "weakref.ref[Any]"
    declared: frozenset[Site]
    installed: frozenset[Site]
    absent: Mapping[Site, str]


@dataclass(frozen=True)
class Room:
    """What a backend has to be made for.

    Attributes:
        bytes: that factors may take.
        tokens: most of a step.
        hidden_size: width of the residual stream.
    """

    bytes: int
    tokens: int
    hidden_size: int


_here: list[Installation] = []


def begin(model: Any, declared: Declared, placement: Placement, room: Room) -> None:
    """Installs the sites of a newly loaded model and gives the op an empty bank.

    Raises:
        UnsupportedError: a model with sites is alive in this process already, whose op would read
            the new one's state; or as `install` and `check_cut`.
    """
    if _here and _here[0].model() is not None:
        raise UnsupportedError(
            "expected one engine with Lethe in a process, found a second; delete the first, or "
            "leave VLLM_ENABLE_V1_MULTIPROCESSING at 1"
        )
    installed = install(model, declared)
    if placement.shard.size > 1:
        check_cut(model, installed.sites, placement.shard.size)
    _here[:] = [Installation(weakref.ref(model), declared.sites, installed.sites, installed.absent)]
    live.bank = FactorBank(placement, _backend(placement, room, model, installed.sites))
    live.router = Router()


def _backend(placement: Placement, room: Room, model: Any, installed: frozenset[Site]) -> Backend:
    """The Triton kernel on GPUs, and where Triton is interpreted; PyTorch on CPUs."""
    if placement.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        return TorchBackend(placement, room.bytes)
    # Here, because it needs Triton.
    from lethe_vllm.triton_backend import TritonBackend

    found = widths(model, installed, room.hidden_size)
    return TritonBackend(placement, room.bytes, found, SLOTS, room.tokens)


def current() -> Installation:
    """This process's installation.

    Raises:
        UnavailableError: there is none.
    """
    if not _here:
        raise UnavailableError(
            "no site is installed in this worker: the model came through a loader that Lethe does "
            "not see (tensorizer, modelexpress); use --load-format auto"
        )
    return _here[0]


def missing() -> Mapping[Site, str]:
    """This rank's sites that edit nothing any more, and why. Cheap: nothing runs.

    Raises:
        UnavailableError: nothing is installed.
    """
    here = current()
    model = here.model()
    if model is None:
        return dict.fromkeys(here.installed, "the model that was wrapped is gone")
    if live.bank is None:
        return dict.fromkeys(here.installed, "there is no bank of factors")
    return lost(model, here.installed)
