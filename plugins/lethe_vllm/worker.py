"""The methods that `collective_rpc` reaches on every worker (`worker_extension_cls`)."""

from typing import Any

from lethe_projections import artifact
from lethe_projections.errors import LetheError
from lethe_projections.projector import Projector, Site
from lethe_vllm import canary, compat, installation
from lethe_vllm.bank import FactorBank
from lethe_vllm.edit import live
from lethe_vllm.errors import UnavailableError, UnsupportedError
from lethe_vllm.placement import Shard
from lethe_vllm.replies import replying


class LetheWorker:
    """Mixed into vLLM's worker class. Replies are plain data, failures as `replies` has them."""

    rank: int

    @replying
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
        bank = _bank()
        return {
            "sites": [str(site) for site in sorted(here.installed)],
            "absent": {str(site): reason for site, reason in here.absent.items()},
            "digests": list(bank.registered),
            "held": list(bank.held),
        }

    @replying
    def lethe_check(self) -> dict[str, Any]:
        """Looks whether this rank's sites are still what was installed; no step is run.

        Raises:
            UnavailableError: nothing is installed.
        """
        missing = {str(site): reason for site, reason in installation.missing().items()}
        return {"rank": self.rank, "missing": missing}

    @replying
    def lethe_load(self, digest: str, data: bytes) -> dict[str, Any]:
        """Registers a profile on this rank. Idempotent.

        Args:
            digest: the artifact's sha256.
            data: the artifact.

        Raises:
            LetheError: it is malformed or does not fit this engine; nothing of it stays.
        """
        bank = _bank()
        if artifact.digest(data) != digest:
            raise UnavailableError(f"expected the artifact {digest}, found {artifact.digest(data)}")
        if digest not in bank:
            local = _local(artifact.from_bytes(data).projectors)
            _check_shards(local, bank.placement.shard)
            bank.register(digest, local)
        try:
            needs = bank.needs(digest)
        except LetheError:
            bank.unregister(digest)
            raise
        return {"digest": digest, "needs": needs, "positional": bank.positional(digest)}

    @replying
    def lethe_limits(self) -> dict[str, int]:
        """What held profiles may take on this rank's device."""
        return _bank().limits

    @replying
    def lethe_edited(self) -> dict[str, dict[str, int]]:
        """Tokens handed to the op on this rank, by digest and site."""
        return _edited()

    @replying
    def lethe_figures(self) -> dict[str, Any]:
        """What this rank has, for metrics; the engine core adds its own to it."""
        bank = _bank()
        return {
            "registered": len(bank.registered),
            "held": len(bank.held),
            "registered_bytes": bank.registered_bytes,
            "held_bytes": bank.held_bytes,
            "edited": _edited(),
        }

    @replying
    def lethe_hold(self, digest: str, dropped: tuple[str, ...]) -> dict[str, Any]:
        """Puts a registered profile on the device, once others have made room, and proves it.

        Raises:
            UnavailableError: it failed its canary, and is not registered any more.
        """
        bank = _bank()
        for other in dropped:
            bank.drop(other)
        bank.hold(digest)
        try:
            return {"digest": digest, "error": canary.check_profile(digest, bank)}
        except LetheError:
            bank.unregister(digest)
            raise

    @replying
    def lethe_unload(self, digest: str) -> dict[str, Any]:
        """Forgets a profile. Idempotent.

        The engine core calls this when no request uses the profile any more. A step that it sent
        before has run by then: a worker takes calls in order (executors where it does not are
        refused).
        """
        _bank().unregister(digest)
        return {"digest": digest}


def _edited() -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (digest, site), tokens in sorted(_bank().edited.items()):
        found.setdefault(digest, {})[str(site)] = tokens
    return found


def _bank() -> FactorBank:
    """This worker's bank.

    Raises:
        UnavailableError: there is none.
    """
    if live.bank is None:
        raise UnavailableError("sites are installed but have no bank; restart the engine")
    return live.bank


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


def _check_shards(projectors: list[Projector], shard: Shard) -> None:
    """Refuses what a part of the input cannot decide.

    Raises:
        UnsupportedError: a gate reads the input of a `down_proj` that is cut over several ranks.
    """
    gated = [edit.site for edit in projectors if edit.reads_input and edit.gate is not None]
    if gated and shard.size > 1:
        raise UnsupportedError(
            f"profile: expected no gate at {_listing(gated)} under tensor parallelism, where each "
            f"of {shard.size} ranks reads a part of that input, found one; serve it with "
            "--tensor-parallel-size 1, or fit it at another hook"
        )


def _listing(sites: list[Site]) -> str:
    return ", ".join(map(str, sites[:5])) + (", ..." if len(sites) > 5 else "")
