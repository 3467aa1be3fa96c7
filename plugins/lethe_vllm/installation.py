"""What is installed in this worker process: sites, into which model, and where it runs."""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lethe_projections.projector import Site
from lethe_vllm.bank import FactorBank, Placement
from lethe_vllm.edit import live
from lethe_vllm.errors import UnavailableError, UnsupportedError
from lethe_vllm.install import install
from lethe_vllm.options import Declared
from lethe_vllm.routing import Router


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


_here: list[Installation] = []


def begin(model: Any, declared: Declared, placement: Placement) -> None:
    """Installs the sites of a newly loaded model and gives the op an empty bank.

    Raises:
        UnsupportedError: a model with sites is alive in this process already, whose op would read
            the new one's state; or as `install`.
    """
    if _here and _here[0].model() is not None:
        raise UnsupportedError(
            "expected one engine with Lethe in a process, found a second; delete the first, or "
            "leave VLLM_ENABLE_V1_MULTIPROCESSING at 1"
        )
    installed = install(model, declared)
    _here[:] = [Installation(weakref.ref(model), declared.sites, installed.sites, installed.absent)]
    live.bank = FactorBank(placement)
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
