"""What a caller may write, and what is accepted inside the engine."""

import copy
import json
from typing import Any

import pytest

from lethe_vllm.errors import SelectionError, UnsupportedError
from lethe_vllm.options import Options, Travelling
from lethe_vllm.selection import PROFILE_KEY, Part, Selection, Variant, stamped_digest

SHA = "0123456789abcdef" * 4


def one(name: str, digest: str | None = None) -> Selection:
    return Selection((Part(name, digest),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base", one("base")),
        ("france", one("france")),
        ("a.b_c-9", one("a.b_c-9")),
        ("france@01234567", one("france", "01234567")),
        (f"france@{SHA}", one("france", SHA)),
    ],
)
def test_a_name_with_or_without_a_digest_is_read(text: str, expected: Selection) -> None:
    assert Selection.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "France", "a b", "a@", "a@0123456", f"a@{SHA}0", "a@XYZ45678", "base@01234567", None, 3,
     "a\n", "a++b", "+", "base+a", "a b+c", "é", "@01234567"],
)  # fmt: skip
def test_anything_else_is_refused(text: Any) -> None:
    with pytest.raises(SelectionError, match="expected"):
        Selection.parse(text)


def test_the_order_of_a_compositions_parts_does_not_matter() -> None:
    parsed = Selection.parse("b@01234567+a+a")
    assert parsed == Selection.parse("a+b@01234567")
    assert str(parsed) == "a+b@01234567"
    variant = Variant("a+b", SHA, (Variant("a", SHA[::-1]), Variant("b", SHA)))
    assert Selection.parse(str(variant.selection)) == variant.selection
    assert parsed.agreed(variant.selection) == variant.selection
    assert Selection.parse("a").agreed(variant.selection) is None
    assert Selection.parse("a+b@99999999").agreed(variant.selection) is None


def test_only_full_digests_pass_inside_the_engine() -> None:
    assert stamped_digest(None) is None
    assert stamped_digest({"other": 1}) is None
    assert stamped_digest({PROFILE_KEY: Variant("france", SHA).stamp}) == SHA
    assert stamped_digest({PROFILE_KEY: f"a+b@{SHA}"}) == SHA
    for value in ("france", "france@01234567", "base", 3, f"a@{SHA}+b@{SHA}", f"+a@{SHA}"):
        with pytest.raises(SelectionError):
            stamped_digest({PROFILE_KEY: value})


def test_sites_are_declared_by_hook_and_layer() -> None:
    assert len(Options().declared(30).sites) == 60
    assert sorted(map(str, Options("block:2-3, mlp:7").declared(30).sites)) == [
        "layers.2.block", "layers.3.block", "layers.7.mlp",
    ]  # fmt: skip


def test_only_a_site_with_its_layer_is_declared_by_name() -> None:
    assert not Options().declared(30).named
    declared = Options("mlp,down_proj:4").declared(30)
    assert sorted(map(str, declared.named)) == ["layers.4.down_proj"]
    assert len(declared.sites) == 31


@pytest.mark.parametrize(
    "value",
    [{"sites": "blocks"}, {"sites": "block:"}, {"sites": "block:x"}, {"sites": "block:1-x"},
     {"sites": ""}, {"site": "block"}, "block", None, {"sites": "block:-3"}, {"sites": 5},
     {"sites": "block:8-4"}, {"sites": "mlp,block:8-4"},
     {"bank_mb": 0}, {"bank_mb": True}, {"bank_mb": "8"}, {"when_full": "hope"}],
)  # fmt: skip
def test_options_with_a_mistake_are_refused(value: Any) -> None:
    with pytest.raises(UnsupportedError, match="expected"):
        Options.parse(value)


def test_only_the_sites_are_part_of_the_compile_key() -> None:
    others = Options.parse({"profiles": "/somewhere", "bank_mb": 1, "when_full": "refuse"})
    assert others.compile_key == Options.parse({}).compile_key
    assert Options("mlp").compile_key != Options("block").compile_key


def test_all_options_travel_with_the_compile_key() -> None:
    options = Options.parse({"sites": "mlp", "profiles": "/somewhere", "bank_mb": 7})
    arrived = copy.deepcopy(Travelling(options))
    assert arrived.options == options
    assert json.loads(json.dumps(arrived)) == options.compile_key
