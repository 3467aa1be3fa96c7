"""Where a request meets the policy: who it is from before its body is read, what serves it after.

Knows nothing of how the policy is written or decided.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from starlette.types import Scope

from lethe_projections.profile import Profile
from lethe_server.bodies import header_values
from lethe_server.errors import UnauthenticatedError
from lethe_server.exchange import exchange_of
from lethe_server.policy import decision, keys
from lethe_server.policy.caller import EVERYONE, NOBODY, Caller, calling
from lethe_server.policy.following import PolicyFile
from lethe_server.policy.routes import WEBSOCKET, Needs, needs
from lethe_vllm import adapters
from lethe_vllm.selection import Selection, Variant


@dataclass(frozen=True)
class Admitted:
    """A request that may use its route.

    Attributes:
        caller: who it is from.
        needed: what its route needs.
    """

    caller: Caller
    needed: Needs

    def selected(self, asked: decision.Asked) -> Selection | None:
        """As `decision.selected`."""
        return decision.selected(self.caller, self.needed, asked)

    def check_arm(self, experiment: str, arm: Selection) -> None:
        """As `decision.check_arm`."""
        decision.check_arm(self.caller, self.needed, experiment, arm)

    def check_profile(self, variant: Variant, profile: Profile) -> None:
        """As `decision.check_profile`."""
        decision.check_profile(self.caller, variant, profile)


@contextmanager
def admitted(scope: Scope, path: str, file: PolicyFile | None) -> Iterator[Admitted]:
    """Finds out who a request is from, and lets `calling` say so while it is handled.

    Args:
        scope: of an HTTP or websocket connection.
        path: below where the application is mounted.
        file: the policy; None where there is none, and everybody may do everything.

    Raises:
        UnauthenticatedError: its route needs a key, and it has none that is known.
        NotPermittedError: its key may not use that route.
    """
    method = scope.get("method", WEBSOCKET)
    needed = needs(method, path)
    caller = EVERYONE if file is None else _caller(scope, needed, file)
    exchange_of(scope).key = caller.name
    decision.check_route(caller, needed, f"{method} {path[:80]}")
    if method == WEBSOCKET:
        decision.check_websocket(caller)
    token, check = calling.set(caller), adapters.check.set(partial(decision.check_adapter, caller))
    try:
        yield Admitted(caller, needed)
    finally:
        calling.reset(token)
        adapters.check.reset(check)


def _caller(scope: Scope, needed: Needs, file: PolicyFile) -> Caller:
    try:
        key = keys.offered(header_values(scope, "authorization"), header_values(scope, "x-api-key"))
        return file.now().caller(key)
    except UnauthenticatedError:
        if needed is Needs.NOTHING:
            return NOBODY
        raise
