"""The methods that `collective_rpc` reaches on every worker (`worker_extension_cls`)."""

import time
from typing import Any

from lethe_projections import artifact
from lethe_projections.errors import LetheError
from lethe_projections.projector import Projector, Site
from lethe_vllm import canary, compat, installation
from lethe_vllm.bank import FactorBank
from lethe_vllm.edit import live
from lethe_vllm.errors import UnavailableError, UnsupportedError


class LetheWorker:
    """Mixed into vLLM's worker class. Replies are plain data; failures raise."""

    def lethe_status(self) -> dict[str, Any]:
        """Runs a dummy step and reports this rank's sites.

        Raises:
            UnavailableError: no site is installed, or one did not run.
        """
        here = installation.current()
        live.reached = set()
        try:
            compat.dummy_step(self, canary.TOKENS)
            canary.check_reached(here.installed, live.reached)
        finally:
            live.reached = None
        digests = list(live.bank.digests) if live.bank else []
        return {
            "sites": [str(site) for site in sorted(here.installed)],
            "absent": {str(site): reason for site, reason in here.absent.items()},
            "digests": digests,
        }

    def lethe_load(self, digest: str, data: bytes) -> dict[str, Any]:
        """Makes a profile resident on this rank and proves its edits. Idempotent.

        Args:
            digest: the artifact's sha256.
            data: the artifact.

        Raises:
            LetheError: it is malformed, does not fit this engine, or failed its canary; nothing
                of it stays resident.
        """
        started = time.perf_counter()
        bank = live.bank
        if bank is None:
            raise UnavailableError("sites are installed but have no bank; restart the engine")
        if digest in bank:
            return _loaded(digest, bank, 0.0, started)
        if artifact.digest(data) != digest:
            raise UnavailableError(f"expected the artifact {digest}, found {artifact.digest(data)}")
        local = _local(artifact.from_bytes(data).projectors)
        bank.add(digest, local)
        try:
            error = canary.check_profile(digest, local, bank)
        except LetheError:
            bank.remove(digest)
            raise
        return _loaded(digest, bank, error, started)

    def lethe_unload(self, digest: str) -> dict[str, Any]:
        """Forgets a profile. Idempotent.

        The engine core calls this when no request uses the profile any more. A step that it sent
        before has run by then: a worker takes calls in order.
        """
        if live.bank is not None:
            live.bank.remove(digest)
        return {"digest": digest}


def _loaded(digest: str, bank: FactorBank, error: float, started: float) -> dict[str, Any]:
    """The reply: `positional` says whether the profile tells kinds of tokens apart on this rank."""
    return {
        "digest": digest,
        "error": error,
        "positional": len(set(bank.keys(digest))) > 1,
        "seconds": time.perf_counter() - started,
    }


def _local(projectors: tuple[Projector, ...]) -> list[Projector]:
    """The projectors of the layers on this rank.

    Raises:
        UnsupportedError: one is at a site that was not declared, or that the model does not have.
    """
    here = installation.current()
    sites = {projector.site for projector in projectors}
    for site in sorted(sites & here.absent.keys()):
        raise UnsupportedError(
            f"profile: expected edits at sites that the model has, found one at {site}: "
            f"{here.absent[site]}"
        )
    missing = sorted(sites - here.declared)
    if missing:
        raise UnsupportedError(
            f"profile: expected edits at installed sites, found one at {_listing(missing)}; "
            "restart with these sites declared ('lethe serve --sites')"
        )
    return [projector for projector in projectors if projector.site in here.installed]


def _listing(sites: list[Site]) -> str:
    return ", ".join(map(str, sites[:5])) + (", ..." if len(sites) > 5 else "")
