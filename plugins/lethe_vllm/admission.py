"""Which profiles an engine can serve, and which of them its ranks hold on the device.

The engine core decides, before a request is scheduled, so that all ranks hold the same. What they
hold is bounded; the longest unused makes room, unless a request in the engine uses it.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from lethe_vllm.backend import Amounts
from lethe_vllm.errors import UnavailableError


@dataclass(frozen=True)
class Registered:
    """A profile that every rank has.

    Attributes:
        needs: what it takes of the device of the rank where it takes most.
        positional: whether its scopes may tell tokens apart.
    """

    needs: Amounts
    positional: bool = False


@dataclass(frozen=True)
class Waiting:
    """A request whose profile has no room yet.

    Attributes:
        request_id: its id.
        client_index: of the front end that sent it.
        digest: its profile.
        start: hands it to the scheduler.
    """

    request_id: str
    client_index: int
    digest: str
    start: Callable[[], object]


class Admission:
    """The profiles of one engine.

    Attributes:
        limits: what the held profiles may take together on a device.
        waiting: requests for which there was no room, in order of arrival. While there are any,
            further requests for profiles go behind them, so that none waits for ever; those for
            the base pass.
        evictions: how often a held profile made room for another.
    """

    def __init__(self, limits: Amounts) -> None:
        self.limits = limits
        self.waiting: deque[Waiting] = deque()
        self.evictions = 0
        self._registered: dict[str, Registered] = {}
        self._held: OrderedDict[str, Amounts] = OrderedDict()
        self._retiring: dict[str, Registered] = {}

    def __contains__(self, digest: str) -> bool:
        """Whether every rank has it, for new requests or for running ones alone."""
        return digest in self._registered or digest in self._retiring

    def registered(self, digest: str, found: Registered) -> None:
        """Every rank has confirmed that it has `digest`, none that it holds it.

        Raises:
            UnavailableError: it alone is more than the device can hold.
        """
        for name, needed in found.needs.items():
            if needed > self.limits[name]:
                raise UnavailableError(
                    f"profile {digest[:12]}: expected at most {self.limits[name]} {name} on the "
                    f"device, found {needed}; raise --lethe-bank-mb"
                )
        self._registered[digest] = found
        self._retiring.pop(digest, None)

    def retire(self, digest: str) -> None:
        """No new request may use `digest`; running ones finish on it."""
        found = self._registered.pop(digest, None)
        if found is not None:
            self._retiring[digest] = found

    def unloadable(self, in_use: Collection[str | None]) -> set[str]:
        """The retired digests that no request uses any more; they are forgotten here."""
        done = self._retiring.keys() - set(in_use)
        for digest in done:
            del self._retiring[digest]
            self._held.pop(digest, None)
        return done

    def forget(self, digest: str) -> None:
        """No rank has `digest` any more."""
        for known in (self._registered, self._retiring, self._held):
            known.pop(digest, None)

    def positional(self, digest: str) -> bool:
        """Whether its scopes tell tokens apart; assumed of one that is not registered."""
        found = self._registered.get(digest)
        return found is None or found.positional

    @property
    def has_retiring(self) -> bool:
        return bool(self._retiring)

    @property
    def held(self) -> tuple[str, ...]:
        """What the ranks hold, the longest unused first."""
        return tuple(self._held)

    def check(self, digest: str) -> None:
        """Raises UnavailableError unless a new request may use `digest`."""
        if digest not in self._registered:
            raise UnavailableError(
                f"profile {digest[:12]}: expected it on every rank, found it is not (unloaded "
                "while the request was on its way); send the request again"
            )

    def abandon(self, request_ids: Collection[str]) -> list[Waiting]:
        """Takes out those that wait among requests which are aborted, and returns them."""
        found = [one for one in self.waiting if one.request_id in request_ids]
        for one in found:
            self.waiting.remove(one)
        return found

    def use(self, digest: str) -> bool:
        """Marks a registered profile as the latest used; returns whether the ranks hold it."""
        if digest in self._held:
            self._held.move_to_end(digest)
        return digest in self._held

    def room(self, digest: str, in_use: Collection[str | None]) -> tuple[str, ...] | None:
        """What must be dropped before `digest` can be held; None if too much is in use.

        Args:
            digest: registered or retired, and not held.
            in_use: digests of all requests in the engine.

        Raises:
            UnavailableError: it is neither.
        """
        wanted = self._needs(digest)
        free = self._free()
        dropped = []
        for candidate, taken in self._held.items():
            if _fits(wanted, free):
                break
            if candidate not in in_use:
                dropped.append(candidate)
                free = {name: left + taken.get(name, 0) for name, left in free.items()}
        return tuple(dropped) if _fits(wanted, free) else None

    def _free(self) -> Amounts:
        free = dict(self.limits)
        for taken in self._held.values():
            for name, amount in taken.items():
                free[name] -= amount
        return free

    def hold(self, digest: str, dropped: Collection[str]) -> None:
        """The ranks have dropped those and hold this."""
        for other in dropped:
            del self._held[other]
        self.evictions += len(dropped)
        self._held[digest] = self._needs(digest)

    def _needs(self, digest: str) -> Amounts:
        found = self._registered.get(digest) or self._retiring.get(digest)
        if found is None:
            raise UnavailableError(
                f"profile {digest[:12]}: expected it on every rank, found it is not; add it again"
            )
        return found.needs


def largest(amounts: Collection[Amounts]) -> Amounts:
    """By name, the most that one of them has."""
    names = {name for one in amounts for name in one}
    return {name: max(one.get(name, 0) for one in amounts) for name in sorted(names)}


def smallest(amounts: Collection[Amounts]) -> Amounts:
    """By name, the least that one of those has which have it."""
    names = {name for one in amounts for name in one}
    return {name: min(one[name] for one in amounts if name in one) for name in sorted(names)}


def _fits(wanted: Amounts, free: Amounts) -> bool:
    return all(amount <= free[name] for name, amount in wanted.items())
