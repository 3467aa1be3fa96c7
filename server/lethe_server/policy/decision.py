"""The decision: who asks for what, where, to what serves it or an error. Pure functions.

Knows nothing of keys, files, or of how a request is read.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from lethe_projections.profile import Profile
from lethe_server.asking import fields, profile_of
from lethe_server.errors import NotPermittedError
from lethe_server.policy.caller import Caller
from lethe_server.policy.routes import Needs
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import BASE, Selection, Variant

STORED = {
    "/v1/responses": ("previous_response_id", "request_id"),
    "/v1/responses/render": ("previous_response_id",),
}
"""Fields that reach for another request's text, of whichever key and variant that was."""


GENERATING = frozenset({Needs.SELECTION, Needs.EVERYTHING})
"""What routes need whose answers a model makes."""


@dataclass(frozen=True)
class Asked:
    """What a request that may select says.

    Attributes:
        path: where it goes.
        selection: what its header and its model select; None for nothing.
        body: as it came; None if it is not declared to be JSON.
        served: names of the base model.
        adapters: names of LoRA adapters that vLLM serves.
    """

    path: str
    selection: Selection | None
    body: bytes | None
    served: Sequence[str]
    adapters: Collection[str]


def check_route(caller: Caller, needed: Needs, route: str) -> None:
    """Whether a caller may use a route at all.

    Args:
        caller: who asks.
        needed: by the route.
        route: for the message.

    Raises:
        NotPermittedError: it may not.
    """
    lacks_admin = needed in (Needs.ADMIN, Needs.UNKNOWN) and not caller.admin
    lacks_everything = needed in (Needs.EVERYTHING, Needs.UNKNOWN) and caller.is_restricted
    if lacks_admin or lacks_everything:
        raise NotPermittedError(
            f"{route}: expected {needed.value}, found {caller}, which is not; use another "
            "route, or ask the operator"
        )


def selected(caller: Caller, needed: Needs, asked: Asked) -> Selection | None:
    """What serves a request: what it selects, else its caller's default; None for the base.

    Raises:
        NotPermittedError: the caller may not use what it asks for.
        SelectionError: what a restricted caller asks for cannot be read.
    """
    if asked.selection is not None:
        check_selection(caller, asked.selection)
    if needed is Needs.SELECTION and caller.is_restricted:
        _check_body(caller, asked)
    if needed in (Needs.NOTHING, Needs.KEY, Needs.ADMIN):
        return asked.selection
    return asked.selection or caller.default


def check_selection(caller: Caller, selection: Selection) -> None:
    """Raises NotPermittedError if a caller may not be served by a selection."""
    if not caller.permits(selection):
        raise NotPermittedError(
            f"profile: expected what {caller} may use ({_permitted(caller)}), found "
            f"{selection}; name one of those, or leave it out for its default"
        )


def check_arm(caller: Caller, needed: Needs, experiment: str, arm: Selection) -> None:
    """Whether a caller may take part in an experiment where it asks, and be served by an arm.

    Raises:
        SelectionError: the route does not generate.
        NotPermittedError: it may not use the arm; which one that is, is not said.
    """
    if needed not in GENERATING:
        raise SelectionError(
            f"experiment {experiment}: expected a route that generates, found another; leave out "
            "the experiment's header here"
        )
    if not caller.permits(arm):
        raise NotPermittedError(
            f"experiment {experiment}: expected an arm that {caller} may use, found another; "
            "leave out the experiment's header, or ask the operator"
        )


def check_profile(caller: Caller, variant: Variant, profile: Profile) -> None:
    """Raises NotPermittedError if a profile would show the base to a caller that may not use it.

    What is computed at tokens that no edit is for is the base's: their log-probabilities, and the
    tokens that follow. Asked for one token at a time, such a profile tells what the base would.
    """
    if not caller.base and not profile.covers_every_token:
        raise NotPermittedError(
            f"profile {variant.name}: expected one that edits every token, since {caller} may not "
            f"use the base, found scope {', '.join(profile.scopes)} alone; use another profile, "
            "or ask the operator for one of scope all"
        )


def check_adapter(caller: Caller, name: str) -> None:
    """Raises NotPermittedError if a caller may not be served by a LoRA adapter."""
    if not caller.permits_adapter(name):
        raise NotPermittedError(
            f"adapter: expected none but those of {caller}, found {name[:80]!r}; leave out what "
            "chooses it"
        )


def check_seen(caller: Caller, name: str) -> None:
    """Raises NotPermittedError if a caller may not know of a profile, there or not."""
    if not caller.sees(name):
        raise NotPermittedError(
            f"profile: expected one that {caller} may use ({_permitted(caller)}), found "
            f"{name[:80]!r}; GET /v1/unlearning/profiles lists them"
        )


def check_websocket(caller: Caller) -> None:
    """Raises NotPermittedError unless the base is what a caller gets where it names nothing."""
    if caller.default is not None:
        raise NotPermittedError(
            f"websocket: expected a key whose default is the base, found {caller.default} "
            f"of {caller}; use HTTP"
        )


def _check_body(caller: Caller, asked: Asked) -> None:
    found = None if asked.body is None else fields(asked.body)
    if found is None:
        raise SelectionError(
            "request body: expected a JSON object of content-type application/json, found "
            f"something else; {caller} can send no other"
        )
    for name, value in found:
        if name in STORED.get(asked.path, ()) and value is not None:
            raise NotPermittedError(
                f"{name}: expected none from {caller}, since what is stored may be of "
                "any variant, found one; send the conversation itself"
            )
        if name == "model" and value is not None:
            _check_model(caller, value, asked)


def _check_model(caller: Caller, model: Any, asked: Asked) -> None:
    """A name other than the base's may be an adapter's, which vLLM may load when it is named."""
    named = isinstance(model, str) and model not in asked.adapters
    if named and (model in asked.served or profile_of(model, asked.served) is not None):
        return
    if not isinstance(model, str) or not caller.permits_adapter(model):
        raise NotPermittedError(
            f"model: expected a name of the base ({', '.join(asked.served)}), "
            f"'{asked.served[0]}:PROFILE', or an adapter of {caller}, found "
            f"{str(model)[:80]!r}; GET /v1/models lists the names"
        )


def _permitted(caller: Caller) -> str:
    profiles = ["every profile"] if caller.profiles is None else sorted(caller.profiles)
    return ", ".join([*([BASE] if caller.base else []), *profiles]) or "nothing"
