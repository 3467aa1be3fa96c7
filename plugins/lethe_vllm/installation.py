"""What is installed in this worker process: sites, into which model, and where it runs."""

import weakref
from dataclasses import dataclass
from typing import Any

import torch

from lethe_projections.projector import Site
from lethe_vllm.bank import FactorBank, Shard
from lethe_vllm.edit import live
from lethe_vllm.errors import UnavailableError, UnsupportedError
from lethe_vllm.install import install
from lethe_vllm.routing import Router


@dataclass(frozen=True)
class Placement:
    """Where and how this worker runs its part of the model."""

    dtype: torch.dtype
    device: torch.device
    shard: Shard


@dataclass(frozen=True)
class Installation:
    """One model's sites.

    Attributes:
        model: the wrapped model.
        declared: sites on all ranks together.
        installed: those on this rank.
        placement: where it runs.
    """

    model: "weakref.ref[Any]"
    declared: frozenset[Site]
    installed: frozenset[Site]
    placement: Placement


_here: list[Installation] = []


def begin(model: Any, declared: frozenset[Site], placement: Placement) -> None:
    """Installs the sites of a newly loaded model and gives the op an empty bank.

    Raises:
        UnsupportedError: a model with sites is alive in this process already, whose op would read
            the new one's state; or the architecture is not understood.
    """
    if _here and _here[0].model() is not None:
        raise UnsupportedError(
            "expected one engine with Lethe in a process, found a second; delete the first, or "
            "leave VLLM_ENABLE_V1_MULTIPROCESSING at 1"
        )
    installed = install(model, declared)
    _here[:] = [Installation(weakref.ref(model), declared, installed, placement)]
    live.bank = FactorBank(placement.dtype, placement.device, placement.shard)
    live.router, live.groups = Router(), ()


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
