"""What a request asks for, as a table of headers and bodies."""

import json

import pytest

from lethe_server.asking import asked, profile_of, wants_beams
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import Part, Selection

SERVED = ("smollm2", "org/model", "org/model:8b")
D8, D12, OTHER = "0123abcd", "0123abcdef01", "99999999"


def one(name: str, digest: str | None = None) -> Selection:
    return Selection((Part(name, digest),))


BOTH = Selection((Part("france"), Part("japan", D8)))


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
        (["france"], None, one("france")),
        (["france", "france"], None, one("france")),
        ([f"france@{D8}"], None, one("france", D8)),
        (["base"], None, one("base")),
        (["france"], body(model="smollm2"), one("france")),
        (["france"], b"{not json", one("france")),
        ([], body(model="smollm2:france"), one("france")),
        ([], body(model="smollm2:base"), one("base")),
        ([], body(model=f"smollm2:france@{D8}"), one("france", D8)),
        ([], body(model="org/model:france"), one("france")),
        ([], body(model="org/model:8b:france"), one("france")),
        ([], body(model="org/model:8b"), None),
        ([], body(model="smollm2:adapter"), None),
        ([], '{"model": "smollm2:france"}'.encode("utf-16"), one("france")),
        (["france"], body(model="smollm2:france"), one("france")),
        ([f"france@{D12}"], body(model="smollm2:france"), one("france", D12)),
        ([f"france@{D8}"], body(model=f"smollm2:france@{D12}"), one("france", D12)),
        ([], body(model="smollm2", vllm_xargs={"other": 1}), None),
        ([f"japan@{D8}+france"], None, BOTH),
        ([f"france+japan@{D8}+france"], None, BOTH),
        ([], body(model=f"smollm2:france+japan@{D8}"), BOTH),
        (["japan+france"], body(model=f"smollm2:france+japan@{D8}"), BOTH),
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
        (["france+base"], None, "'base' alone"),
        (["france+"], None, "expected NAME"),
        ([f"a@{D8}+a@{OTHER}"], None, "one digest for a"),
        (["+".join("abcdefghi")], None, "at most 8"),
        (["france@xyz"], None, "expected NAME"),
        ([], body(model="smollm2:"), "expected NAME"),
        (["france"], body(model="smollm2:france+japan"), "expected one selection"),
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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (body(use_beam_search=True), True),
        (body(use_beam_search=False), False),
        (body(messages=["use_beam_search"]), False),
        (body(inner={"use_beam_search": True}), False),
        (b"{not json, use_beam_search", False),
        (b'{"use\\u005fbeam_search": true}', True),
        ('{"use_beam_search": true}'.encode("utf-16"), True),
    ],
)
def test_a_beam_search_is_told_from_its_mention(content: bytes, expected: bool) -> None:
    assert wants_beams(content) == expected
