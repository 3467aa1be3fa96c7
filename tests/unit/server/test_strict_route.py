"""Bodies that readers of JSON understand differently, or that no answer could repeat: 400."""

import pytest

from .fakes import Server, make

PROFILE = "/v1/unlearning/profiles/france"
COMPARE = '{"profiles": ["base"], "messages": [{"role": "user"}], %s}'
EXPERIMENT = '{"name": "trial", "control": "a", "arms": [%s, {"name": "b", "profile": "france"}]}'


@pytest.mark.parametrize(
    ("method", "path", "body", "found"),
    [
        ("POST", "/v1/unlearning/compare", COMPARE % '"top_p": NaN', "NaN"),
        ("POST", "/v1/unlearning/compare", COMPARE % '"min_p": 1e999', "range"),
        ("POST", "/v1/unlearning/compare", COMPARE % '"stop": "\\ud800"', "surrogates"),
        ("POST", "/v1/unlearning/compare", COMPARE % '"seed": 1, "seed": 2', "twice"),
        ("POST", "/v1/unlearning/compare", COMPARE % '"seed": 1', None),
        ("PATCH", PROFILE, '{"labels": {"a": "\\udfff"}}', "surrogates"),
        ("PATCH", PROFILE, '{"labels": {"a": NaN}}', "NaN"),
        ("PATCH", PROFILE, '{"labels": {"a": "b"}}', None),
        ("PUT", PROFILE, '{"source": "/\\ud800"}', "mistake"),
        ("POST", f"{PROFILE}/rollback", '{"version": NaN}', "NaN"),
        (
            "POST",
            "/v1/unlearning/experiments",
            EXPERIMENT % '{"name": "a", "profile": "base", "weight": NaN}',
            "NaN",
        ),
        (
            "POST",
            "/v1/unlearning/experiments",
            EXPERIMENT % '{"name": "\\ud800", "profile": "base"}',
            "surrogates",
        ),
        (
            "POST",
            "/v1/unlearning/experiments/trial/outcomes",
            '[{"unit": "\\ud800", "metric": "m", "value": 1}]',
            "surrogates",
        ),
    ],
)
def test_a_body_that_is_not_strict_json_is_refused(
    server: Server, method: str, path: str, body: str, found: str | None
) -> None:
    server.serving.catalogue.put("france", make(1))
    headers = {"content-type": "application/json"}
    reply = server.request(method, path, content=body.encode(), headers=headers)
    if found is None:
        assert reply.status_code == 200, reply.text
        return
    assert reply.status_code == 400
    message = reply.json()["error"]["message"]
    assert found in message
    assert "expected" in message
