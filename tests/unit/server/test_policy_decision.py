"""The decision: a table of callers, routes and requests, and what each leads to."""

import json
from typing import Any

import pytest
import torch

from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server.errors import NotPermittedError
from lethe_server.policy.caller import EVERYONE, NOBODY, Caller
from lethe_server.policy.decision import (
    Asked,
    check_adapter,
    check_arm,
    check_profile,
    check_route,
    check_seen,
    check_websocket,
    selected,
)
from lethe_server.policy.routes import WEBSOCKET, Needs, needs, table
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import Selection, Variant

from .fakes import BASE

FRANCE = Selection.parse("france")
RESTRICTED = Caller("r", frozenset(["france", "japan"]), default=FRANCE, adapters=frozenset("l"))
OPEN = Caller("o", None, base=True, adapters=None)
OPEN_BY_DEFAULT = Caller("d", None, base=True, default=FRANCE, adapters=None)
ADMIN = Caller("a", frozenset(["france"]), default=FRANCE, admin=True)
CHAT = "/v1/chat/completions"


def asked(wanted: str | None, path: str = CHAT, body: Any = None) -> Asked:
    selection = None if wanted is None else Selection.parse(wanted)
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return Asked(path, selection, content, ("smollm2", "other"), {"l": 1, "smollm2:lora": 2})


@pytest.mark.parametrize(
    ("caller", "needed", "wanted", "expected"),
    [
        (RESTRICTED, Needs.SELECTION, None, "france"),
        (RESTRICTED, Needs.SELECTION, "japan", "japan"),
        (RESTRICTED, Needs.SELECTION, "france+japan", "france+japan"),
        (RESTRICTED, Needs.SELECTION, "france@0123456789", "france@0123456789"),
        (RESTRICTED, Needs.KEY, None, None),
        (RESTRICTED, Needs.KEY, "japan", "japan"),
        (OPEN, Needs.SELECTION, None, None),
        (OPEN, Needs.SELECTION, "base", "base"),
        (OPEN, Needs.SELECTION, "spain", "spain"),
        (OPEN_BY_DEFAULT, Needs.SELECTION, None, "france"),
        (OPEN_BY_DEFAULT, Needs.EVERYTHING, None, "france"),
        (OPEN_BY_DEFAULT, Needs.UNKNOWN, None, "france"),
        (OPEN_BY_DEFAULT, Needs.SELECTION, "base", "base"),
        (OPEN_BY_DEFAULT, Needs.KEY, None, None),
        (ADMIN, Needs.ADMIN, None, None),
        (NOBODY, Needs.NOTHING, None, None),
        (EVERYONE, Needs.UNKNOWN, None, None),
        (EVERYONE, Needs.SELECTION, "spain", "spain"),
    ],
)
def test_what_serves_a_request(
    caller: Caller, needed: Needs, wanted: str | None, expected: str | None
) -> None:
    found = selected(caller, needed, asked(wanted))
    assert found == (None if expected is None else Selection.parse(expected))


@pytest.mark.parametrize(
    ("scopes", "spares"),
    [
        (["all"], False),
        (["prompt", "generated"], False),
        (["all", "last_prompt_token"], False),
        (["prompt"], True),
        (["generated"], True),
        (["last_prompt_token"], True),
        (["last_prompt_token", "generated"], True),
    ],
)
def test_a_profile_that_spares_tokens_is_for_callers_of_the_base(
    scopes: list[str], spares: bool
) -> None:
    factor = torch.ones(1, 8)
    sites = [Site(layer, "block") for layer in range(len(scopes))]
    projectors = tuple(
        Projector(site, factor, factor, scope=scope)
        for site, scope in zip(sites, scopes, strict=True)
    )
    profile = Profile(BASE, projectors, "synthetic")
    variant = Variant("france", "ab" * 32)
    check_profile(OPEN, variant, profile)
    if spares:
        with pytest.raises(NotPermittedError, match=scopes[0]):
            check_profile(RESTRICTED, variant, profile)
    else:
        check_profile(RESTRICTED, variant, profile)


@pytest.mark.parametrize("needed", Needs)
def test_an_experiment_is_taken_part_in_where_a_model_answers(needed: Needs) -> None:
    if needed in (Needs.SELECTION, Needs.EVERYTHING):
        check_arm(OPEN, needed, "trial", FRANCE)
    else:
        with pytest.raises(SelectionError, match="trial"):
            check_arm(OPEN, needed, "trial", FRANCE)


@pytest.mark.parametrize("arm", ["spain", "base"])
def test_whoever_may_not_use_an_arm_does_not_learn_which_it_is(arm: str) -> None:
    with pytest.raises(NotPermittedError) as refused:
        check_arm(RESTRICTED, Needs.SELECTION, "trial", Selection.parse(arm))
    assert arm not in str(refused.value)


def test_an_adapter_is_for_callers_that_may_use_it() -> None:
    for caller in (OPEN, RESTRICTED):
        check_adapter(caller, "l")
    with pytest.raises(NotPermittedError, match="other"):
        check_adapter(RESTRICTED, "other")


@pytest.mark.parametrize("needed", Needs)
@pytest.mark.parametrize(
    ("caller", "wanted"),
    [
        (RESTRICTED, "base"),
        (RESTRICTED, "spain"),
        (RESTRICTED, "france+spain"),
        (RESTRICTED, "spain@0123456789"),
        (NOBODY, "france"),
        (NOBODY, "base"),
        (ADMIN, "base"),
        (ADMIN, "japan"),
    ],
)
def test_what_a_caller_may_not_use_is_refused_everywhere(
    caller: Caller, needed: Needs, wanted: str
) -> None:
    with pytest.raises(NotPermittedError, match="expected what"):
        selected(caller, needed, asked(wanted))


@pytest.mark.parametrize(
    "body",
    [
        {"model": "smollm2"},
        {"model": "other"},
        {"model": "other:france"},
        {"model": "l"},
        {"model": None},
        {"previous_response_id": "x"},
        {"inner": {"model": "spain", "previous_response_id": "x"}},
    ],
)
def test_a_body_that_names_what_is_permitted_passes(body: dict[str, Any]) -> None:
    assert selected(RESTRICTED, Needs.SELECTION, asked(None, body=body)) == FRANCE


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "smollm2:lora"}),
        (CHAT, {"model": "unknown"}),
        (CHAT, {"model": "Smollm2"}),
        (CHAT, {"model": ["smollm2"]}),
        (CHAT, {"model": ""}),
        (CHAT, b'{"model": "smollm2", "model": "unknown"}'),
        (CHAT, b'{"model": "smollm2", "m\\u006fdel": "unknown"}'),
        ("/v1/responses", {"previous_response_id": "resp_1"}),
        ("/v1/responses", {"request_id": "resp_1"}),
        ("/v1/responses/render", {"previous_response_id": "resp_1"}),
        ("/v1/responses", b'{"previous_response_id": "resp_1", "previous_response_id": null}'),
    ],
)
def test_a_body_that_reaches_for_more_is_refused(path: str, body: Any) -> None:
    with pytest.raises(NotPermittedError, match="expected"):
        selected(RESTRICTED, Needs.SELECTION, asked(None, path, body))
    assert selected(OPEN, Needs.SELECTION, asked(None, path, body)) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(SelectionError, match="expected a JSON object"):
        selected(RESTRICTED, Needs.SELECTION, asked(None, body=body))


def test_a_body_of_another_type_is_refused() -> None:
    with pytest.raises(SelectionError, match="expected a JSON object"):
        selected(RESTRICTED, Needs.SELECTION, Asked(CHAT, None, None, ("smollm2",), {}))


MAY = {
    Needs.NOTHING: {"nobody", "restricted", "open", "admin", "everyone"},
    Needs.KEY: {"nobody", "restricted", "open", "admin", "everyone"},
    Needs.SELECTION: {"nobody", "restricted", "open", "admin", "everyone"},
    Needs.EVERYTHING: {"open", "everyone"},
    Needs.ADMIN: {"admin", "everyone"},
    Needs.UNKNOWN: {"everyone"},
}
"""Who passes a route's door. Nobody comes as far only where nothing is needed; see the guard."""


@pytest.mark.parametrize("needed", Needs)
def test_who_may_use_a_route(needed: Needs) -> None:
    callers = {"nobody": NOBODY, "restricted": RESTRICTED, "open": OPEN, "admin": ADMIN}
    for name, caller in {**callers, "everyone": EVERYONE}.items():
        if name in MAY[needed]:
            check_route(caller, needed, "GET /x")
        else:
            with pytest.raises(NotPermittedError, match="GET /x: expected a key"):
                check_route(caller, needed, "GET /x")


def test_a_websocket_is_for_callers_whose_default_is_the_base() -> None:
    check_websocket(OPEN)
    with pytest.raises(NotPermittedError, match="default is the base"):
        check_websocket(OPEN_BY_DEFAULT)


def test_a_profile_is_seen_by_who_may_use_or_administer_it() -> None:
    for caller, seen in ((RESTRICTED, False), (OPEN, True), (ADMIN, True), (NOBODY, False)):
        assert caller.sees("spain") is seen
        if not seen:
            with pytest.raises(NotPermittedError, match="lists them"):
                check_seen(caller, "spain")
    check_seen(RESTRICTED, "japan")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/health", Needs.NOTHING),
        ("POST", "/health", Needs.UNKNOWN),
        ("HEAD", "/health", Needs.UNKNOWN),
        ("get", "/health", Needs.UNKNOWN),
        ("GET", "/health/", Needs.UNKNOWN),
        ("GET", "//health", Needs.UNKNOWN),
        ("GET", "/health\n", Needs.UNKNOWN),
        ("GET", "/Health", Needs.UNKNOWN),
        ("GET", "health", Needs.UNKNOWN),
        ("GET", "/playground", Needs.NOTHING),
        ("GET", "/playground/chat/page.js", Needs.NOTHING),
        ("POST", "/playground", Needs.UNKNOWN),
        ("GET", "/playgrounds", Needs.UNKNOWN),
        ("POST", CHAT, Needs.SELECTION),
        ("OPTIONS", CHAT, Needs.UNKNOWN),
        ("GET", "/v1/unlearning/profiles/france", Needs.KEY),
        ("GET", "/v1/unlearning/profiles/{name}", Needs.KEY),
        ("GET", "/v1/unlearning/profiles/", Needs.UNKNOWN),
        ("GET", "/v1/unlearning/profiles/a/b", Needs.UNKNOWN),
        ("GET", "/v1/unlearning/profiles/a\n", Needs.KEY),
        ("PUT", "/v1/unlearning/profiles/france", Needs.ADMIN),
        ("GET", "/v1/responses/resp_1", Needs.EVERYTHING),
        ("POST", "/v1/responses/resp_1/cancel", Needs.EVERYTHING),
        ("GET", "/metrics", Needs.ADMIN),
        ("GET", "/metricsx", Needs.UNKNOWN),
        (WEBSOCKET, "/v1/realtime", Needs.EVERYTHING),
        (WEBSOCKET, CHAT, Needs.UNKNOWN),
    ],
)
def test_a_route_is_known_by_its_exact_method_and_path(
    method: str, path: str, expected: Needs
) -> None:
    assert needs(method, path) is expected


def test_no_route_is_in_the_table_twice() -> None:
    from lethe_server.policy import routes

    lines = [line.strip() for text in routes._TABLE.values() for line in text.splitlines()]
    assert len(table()) == len([line for line in lines if line])
