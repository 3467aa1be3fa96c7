"""What a request asks for, as a table of headers and bodies."""

import json

import pytest

from lethe_server.asking import asked, profile_of
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import Selection

SERVED = ("smollm2", "org/model", "org/model:8b")
D8, D12, OTHER = "0123abcd", "0123abcdef01", "99999999"


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("headers", "content", "expected"),
    [
        ([], None, None),
        ([], body(model="smollm2"), None),
        ([], body(model="gpt-4"), None),
        ([], body(messages=[]), None),
        ([], body(model=None), None),
        ([], body(model=["smollm2:france"]), None),
        ([], b"", None),
        ([], b"{not json", None),
        ([], b'["model", "smollm2:france"]', None),
        ([], b"[" * 100_000, None),
        ([], body(inner={"model": "smollm2:france"}), None),
        ([], body(inner={"vllm_xargs": {"unlearning_profile": "france"}}), None),
        (["france"], None, Selection("france")),
        (["france", "france"], None, Selection("france")),
        ([f"france@{D8}"], None, Selection("france", D8)),
        (["base"], None, Selection("base")),
        (["france"], body(model="smollm2"), Selection("france")),
        (["france"], b"{not json", Selection("france")),
        ([], body(model="smollm2:france"), Selection("france")),
        ([], body(model="smollm2:base"), Selection("base")),
        ([], body(model=f"smollm2:france@{D8}"), Selection("france", D8)),
        ([], body(model="org/model:france"), Selection("france")),
        ([], body(model="org/model:8b:france"), Selection("france")),
        ([], body(model="org/model:8b"), None),
        ([], body(model="smollm2:adapter"), None),
        ([], '{"model": "smollm2:france"}'.encode("utf-16"), Selection("france")),
        (["france"], body(model="smollm2:france"), Selection("france")),
        ([f"france@{D12}"], body(model="smollm2:france"), Selection("france", D12)),
        ([f"france@{D8}"], body(model=f"smollm2:france@{D12}"), Selection("france", D12)),
        ([], body(model="smollm2", vllm_xargs={"other": 1}), None),
    ],
)
def test_a_request_selects(
    headers: list[str], content: bytes | None, expected: Selection | None
) -> None:
    assert asked(headers, content, SERVED, ["smollm2:adapter"]) == expected


@pytest.mark.parametrize(
    ("headers", "content", "says"),
    [
        (["france", "japan"], None, "2 different ones"),
        (["france, japan"], None, "expected NAME"),
        (["France"], None, "expected NAME"),
        ([""], None, "expected NAME"),
        (["base@0123abcd"], None, "base has no digest"),
        (["france+japan"], None, "not supported yet"),
        (["france@xyz"], None, "expected NAME"),
        ([], body(model="smollm2:"), "expected NAME"),
        ([], body(model="smollm2:france+japan"), "not supported yet"),
        (["japan"], body(model="smollm2:france"), "expected one selection"),
        (["base"], body(model="smollm2:france"), "expected one selection"),
        (["france"], body(model="smollm2:base"), "expected one selection"),
        ([f"france@{OTHER}"], body(model=f"smollm2:france@{D8}"), "expected one selection"),
        ([], b'{"model": "smollm2", "model": "smollm2:france"}', "2 times"),
        ([], b'{"model": "smollm2:france", "model": "smollm2"}', "2 times"),
        ([], b'{"mod\\u0065l": "smollm2:france", "model": "smollm2"}', "2 times"),
        ([], body(vllm_xargs={"unlearning_profile": "france"}), "vllm_xargs"),
        (["france"], body(vllm_xargs={"unlearning_profile": "france"}), "vllm_xargs"),
        ([], body(vllm_xargs={"unlearning_profile": None}), "vllm_xargs"),
        ([], b'{"vllm_xargs": {"unlearning\\u005fprofile": "france"}}', "vllm_xargs"),
        ([], body(sampling_params={"extra_args": {"unlearning_profile": "x"}}), "extra_args"),
    ],
)
def test_a_contradicting_or_malformed_selection_is_refused(
    headers: list[str], content: bytes | None, says: str
) -> None:
    with pytest.raises(SelectionError, match=says):
        asked(headers, content, SERVED)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("smollm2", None),
        ("smollm2:x", "x"),
        ("smollm22:x", None),
        ("org/model:8b", None),
        ("org/model:8b:x", "x"),
        ("org/model:8bx", "8bx"),
        (":x", None),
    ],
)
def test_the_longest_served_name_counts(model: str, expected: str | None) -> None:
    assert profile_of(model, SERVED) == expected
