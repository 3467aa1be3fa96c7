"""What each route of the server needs of its caller. A table; knows nothing of callers.

A path is looked up as the router will match it: below where the application is mounted, decoded,
in its own case. Whatever is not in the table, with its method, is `UNKNOWN`.
"""

import re
from enum import Enum

WEBSOCKET = "WEBSOCKET"
"""Stands for the method of a websocket."""


class Needs(Enum):
    """What a caller must have, and whether its default applies where it names nothing.

    Attributes:
        NOTHING: a probe or a file of the playground, which are asked for without a key.
        KEY: reads what is no secret, or what the route itself cuts to what its caller may see.
        SELECTION: a key, and the permission to use what it selects. Generates, or speaks of text.
        EVERYTHING: a key that is not restricted. What it reaches may be of any variant.
        ADMIN: a key that administers.
        UNKNOWN: both.
    """

    NOTHING = "nothing"
    KEY = "a key"
    SELECTION = "a key and what it may use"
    EVERYTHING = "a key that may use everything"
    ADMIN = "a key with 'admin: true'"
    UNKNOWN = "a key that may use everything, with 'admin: true'"


_TABLE: dict[Needs, str] = {
    Needs.NOTHING: """
        GET /health
        GET /ping
        POST /ping
        GET /playground
        GET /playground/{path}
    """,
    Needs.KEY: """
        GET /version
        GET /load
        GET /openapi.json
        GET /docs
        GET /docs/oauth2-redirect
        GET /redoc
        GET /tokenizer_info
        GET /v1/models
        GET /v1/unlearning/profiles
        GET /v1/unlearning/profiles/{name}
        POST /v1/unlearning/compare
    """,
    Needs.SELECTION: """
        POST /v1/chat/completions
        POST /v1/chat/completions/batch
        POST /v1/chat/completions/render
        POST /v1/chat/completions/derender
        POST /v1/completions
        POST /v1/completions/render
        POST /v1/completions/derender
        POST /v1/responses
        POST /v1/responses/render
        POST /v1/messages
        POST /v1/messages/count_tokens
        POST /v1/messages/render
        POST /v1/systemone
        POST /cohere/v2/chat
        POST /cohere/v2/chat/render
        POST /generative_scoring
        POST /inference/v1/generate
        POST /tokenize
        POST /detokenize
    """,
    # Stored responses are of any key. SageMaker's route takes the model's name from a header, once
    # this has been decided. A websocket has no body to select in.
    Needs.EVERYTHING: """
        GET /v1/responses/{response_id}
        POST /v1/responses/{response_id}/cancel
        POST /invocations
        WEBSOCKET /v1/realtime
    """,
    # What names mean and meant, counters by profile, and what stops, empties, reconfigures or
    # reweighs the engine, or shows its configuration.
    Needs.ADMIN: """
        PUT /v1/unlearning/profiles/{name}
        PATCH /v1/unlearning/profiles/{name}
        DELETE /v1/unlearning/profiles/{name}
        PUT /v1/unlearning/profiles/{name}/evidence
        GET /v1/unlearning/profiles/{name}/versions
        GET /v1/unlearning/experiments
        POST /v1/unlearning/experiments
        GET /v1/unlearning/experiments/{name}
        DELETE /v1/unlearning/experiments/{name}
        POST /v1/unlearning/experiments/{name}/stop
        POST /v1/unlearning/experiments/{name}/outcomes
        GET /v1/unlearning/experiments/{name}/report
        GET /v1/unlearning/experiments/{name}/export
        POST /v1/unlearning/profiles/{name}/rollback
        POST /v1/unlearning/policy/reload
        GET /metrics
        GET /metrics/
        GET /kv_event_sources
        GET /server_info
        GET /is_sleeping
        GET /is_paused
        GET /weight_info
        GET /get_world_size
        GET /fault_tolerance/status
        POST /fault_tolerance/apply
        POST /v1/load_lora_adapter
        POST /v1/unload_lora_adapter
        POST /inference/v1/abort_requests
        POST /abort_requests
        POST /reset_prefix_cache
        POST /reset_mm_cache
        POST /reset_encoder_cache
        POST /collective_rpc
        POST /sleep
        POST /release_kv_cache_memory
        POST /wake_up
        POST /pause
        POST /resume
        POST /init_weight_transfer_engine
        POST /shutdown_weight_transfer_engine
        POST /start_weight_update
        POST /start_draft_weight_update
        POST /update_weights
        POST /finish_weight_update
        POST /update_weight_version
        POST /weight_checker
        POST /scale_elastic_ep
        POST /is_scaling_elastic_ep
        POST /start_profile
        POST /stop_profile
    """,
}


def table() -> dict[tuple[str, str], Needs]:
    """What each known method and path needs."""
    return {
        (method, path): needs
        for needs, lines in _TABLE.items()
        for method, path in (line.split() for line in lines.split("\n") if line.strip())
    }


def needs(method: str, path: str) -> Needs:
    """What a request needs.

    Args:
        method: of HTTP, or `WEBSOCKET`.
        path: below where the application is mounted.
    """
    found = _EXACT.get((method, path))
    if found is not None:
        return found
    for pattern, needed in _PATTERNS:
        if pattern.fullmatch(f"{method} {path}"):
            return needed
    return Needs.UNKNOWN


def _pattern(line: str) -> re.Pattern[str]:
    """Of one line of the table: `{path}` stands for the rest, any other name for one segment."""
    whole = re.escape(line).replace(r"\{path\}", ".*")
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", whole))


_EXACT = table()
_PATTERNS = [
    (_pattern(f"{method} {path}"), needed)
    for (method, path), needed in _EXACT.items()
    if "{" in path
]
