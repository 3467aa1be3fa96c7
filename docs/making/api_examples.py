"""One command for each route, in an order in which they can be run one after the other.

They read the server from `LETHE_URL` and its key from `LETHE_API_KEY`. A test runs those of
`RUNNABLE` on a server that has a profile `france`, in a folder that has `france.safetensors`.
"""

_PROFILES = "/v1/unlearning/profiles"
_EXPERIMENTS = "/v1/unlearning/experiments"
_QUESTION = '"messages": [{"role": "user", "content": "What is the capital of France?"}]'


def _curl(path: str, method: str = "GET", body: str = "", options: str = "") -> str:
    lines = [f"curl --fail-with-body -sS -X {method} $LETHE_URL{path}"]
    lines.append('-H "Authorization: Bearer $LETHE_API_KEY"')
    if body:
        lines.append(f"-H 'Content-Type: application/json' -d '{body}'")
    if options:
        lines.append(options)
    return " \\\n  ".join(lines)


RUNNABLE = {
    ("GET", _PROFILES): _curl(_PROFILES),
    ("PUT", f"{_PROFILES}/{{name}}"): _curl(
        f"{_PROFILES}/paris", "PUT", options="--data-binary @france.safetensors"
    ),
    ("GET", f"{_PROFILES}/{{name}}"): _curl(f"{_PROFILES}/paris"),
    ("PATCH", f"{_PROFILES}/{{name}}"): _curl(
        f"{_PROFILES}/paris", "PATCH", '{"labels": {"ticket": "42"}}'
    ),
    ("GET", f"{_PROFILES}/{{name}}/versions"): _curl(f"{_PROFILES}/paris/versions"),
    ("DELETE", f"{_PROFILES}/{{name}}"): _curl(f"{_PROFILES}/paris", "DELETE"),
    ("POST", f"{_PROFILES}/{{name}}/rollback"): _curl(f"{_PROFILES}/paris/rollback", "POST"),
    ("POST", "/v1/unlearning/compare"): _curl(
        "/v1/unlearning/compare",
        "POST",
        f'{{{_QUESTION}, "profiles": ["base", "france"], "max_tokens": 32}}',
    ),
    ("POST", _EXPERIMENTS): _curl(
        _EXPERIMENTS,
        "POST",
        '{"name": "tone", "arms": [{"name": "plain", "profile": "base"},\n'
        '    {"name": "treated", "profile": "france", "weight": 3}]}',
    ),
    ("GET", _EXPERIMENTS): _curl(_EXPERIMENTS),
    ("GET", f"{_EXPERIMENTS}/{{name}}"): _curl(f"{_EXPERIMENTS}/tone"),
    ("POST", f"{_EXPERIMENTS}/{{name}}/outcomes"): _curl(
        f"{_EXPERIMENTS}/tone/outcomes",
        "POST",
        '[{"unit": "u-17", "metric": "resolved", "value": true, "id": "ticket-9"}]',
    ),
    ("GET", f"{_EXPERIMENTS}/{{name}}/report"): _curl(f"{_EXPERIMENTS}/tone/report"),
    ("GET", f"{_EXPERIMENTS}/{{name}}/export"): _curl(f"{_EXPERIMENTS}/tone/export?format=csv"),
    ("POST", f"{_EXPERIMENTS}/{{name}}/stop"): _curl(f"{_EXPERIMENTS}/tone/stop", "POST"),
    ("DELETE", f"{_EXPERIMENTS}/{{name}}"): _curl(f"{_EXPERIMENTS}/tone", "DELETE"),
}

NEEDS_MORE = {
    ("PUT", f"{_PROFILES}/{{name}}/evidence"): _curl(
        f"{_PROFILES}/paris/evidence",
        "PUT",
        options="-H 'Content-Type: application/json' -d @DIGEST.evidence.json",
    ),
    ("POST", "/v1/unlearning/policy/reload"): _curl("/v1/unlearning/policy/reload", "POST"),
}
"""Of an evaluation, and of a server with a policy; other tests meet both routes."""

EXAMPLES = RUNNABLE | NEEDS_MORE
