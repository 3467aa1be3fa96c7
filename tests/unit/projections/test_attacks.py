"""Bytes made to harm or mislead: `from_bytes` returns a profile or raises ArtifactError."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError
from lethe_projections.profile import Profile

from .conftest import HIDDEN, edit

Header = dict[str, Any]


@pytest.fixture(scope="module")
def sound(base: BaseModel) -> bytes:
    return artifact.to_bytes(Profile(base, (edit("block", 0),), "test"))


def split(data: bytes) -> tuple[Header, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: str | bytes | Header, body: bytes) -> bytes:
    if isinstance(header, dict):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(header)) + header + body


def with_document(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    header, body = split(data)
    document = json.loads(header["__metadata__"]["lethe"])
    changed = change(document)
    header["__metadata__"]["lethe"] = json.dumps(document if changed is None else changed)
    return join(header, body)


def without(data: bytes, key: str, part: str | None = None) -> bytes:
    def remove(document: dict[str, Any]) -> None:
        del (document if part is None else document[part])[key]

    return with_document(data, remove)


def refused(data: bytes, match: str = "expected") -> None:
    with pytest.raises(ArtifactError, match=match):
        artifact.from_bytes(data)


def test_the_untouched_artifact_is_read(sound: bytes) -> None:
    header, body = split(sound)
    assert artifact.from_bytes(join(header, body)).rank == 2


@pytest.mark.parametrize(
    ("data", "looks_like"),
    [
        (b"", "0 bytes"),
        (b"1234567", "7 bytes"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"\x80\x04\x95" + bytes(60), "pickle"),
        (b"\x80\x02}q\x00." + bytes(60), "pickle"),
        (b"GGUF" + bytes(60), "GGUF"),
        (b'{"lethe": 1}' + bytes(60), "JSON"),
        (b"<!doctype html>" + bytes(60), "web page"),
        (b"\x1f\x8b\x08" + bytes(60), "gzip"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\xff" * 64, "other data"),
        (struct.pack("<Q", 2**63) + b"{}", "header is too long"),
        (struct.pack("<Q", 10**9) + b"{" + bytes(60), "header is too long"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(data: bytes, looks_like: str) -> None:
    refused(data, looks_like)


def test_no_truncation_is_read(sound: bytes) -> None:
    for length in [*range(0, len(sound) - 1, 37), len(sound) - 1]:
        refused(sound[:length])
    refused(sound + b"\0")


def test_no_flipped_byte_in_the_header_is_anything_but_a_profile_or_an_artifact_error(
    sound: bytes,
) -> None:
    length = 8 + struct.unpack("<Q", sound[:8])[0]
    for position in range(0, length):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(sound)
            data[position] ^= flip
            try:
                artifact.from_bytes(bytes(data))
            except ArtifactError:
                continue


HEADERS = [
    "[]", "3", "null", "{", "{}", '{"__metadata__": {}}', '{"a": NaN}', "\ud800",
    b"\xff\xfe{}", b"{\"a\": \"\xff\"}", "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000,
    '{"__metadata__": {"lethe": "{}"}, "__metadata__": {"lethe": "{}"}}',
    '{"__metadata__": {"lethe": "{}", "format": "pt"}}', '{"__metadata__": {"lethe": 3}}',
    '{"__metadata__": [1]}', '{"__metadata__": {"lethe": "[1]"}}',
    '{"__metadata__": {"lethe": "nothing"}}', '{"__metadata__": {"lethe": "{\\"a\\": Infinity}"}}',
    '{"__metadata__": {"lethe": "{\\"a\\": 1e999}"}}', '{"a": ' + "9" * 5000 + "}",
    '{"__metadata__": {"lethe": "{\\"format_version\\": 1, \\"format_version\\": 1}"}}',
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_a_header_that_is_no_plain_object_is_refused(header: str | bytes, sound: bytes) -> None:
    refused(join(header, split(sound)[1]))


@pytest.mark.parametrize("version", [0, 1, 3, 2.0, True, "2", None, [2], {}])
def test_an_unknown_format_version_is_refused(sound: bytes, version: object) -> None:
    data = with_document(sound, lambda document: document.update(format_version=version))
    refused(data, "format version 2, found")


def test_missing_and_unknown_keys_are_named(sound: bytes) -> None:
    refused(with_document(sound, lambda d: d.update(extra=1)), "unknown.*extra")
    for key in ("base", "method", "hyperparameters", "projectors", "provenance"):
        refused(without(sound, key), f"missing.*{key}")


JUNK: list[Any] = [None, True, 3, -1, 1.5, "", "x", [], ["a"], {}, {"a": 1}, [[[]]], 10**30]


@pytest.mark.parametrize("key", ["base", "method", "projectors"])
def test_a_value_of_the_wrong_kind_is_refused(sound: bytes, key: str) -> None:
    for junk in JUNK:
        if key != "method" or junk != "x":
            refused(with_document(sound, lambda d, junk=junk: d.update({key: junk})))


LABELS = {"scope": ["all", "prompt"], "gate": [None], "orthonormal": [False]}


@pytest.mark.parametrize("label", LABELS)
def test_a_projectors_label_of_the_wrong_kind_is_refused(sound: bytes, label: str) -> None:
    name = "layers.0.block.0"
    for junk in [*JUNK, "sigmoid", "some", "Hard"]:
        if junk not in LABELS[label]:
            refused(
                with_document(sound, lambda d, j=junk: d["projectors"][name].update({label: j}))
            )
    refused(with_document(sound, lambda d: d["projectors"][name].update(extra=1)), "scope, gate")
    remove = lambda d: d["projectors"].update({name: {"scope": "all", "gate": None}})  # noqa: E731
    refused(with_document(sound, remove), "scope, gate")


def test_labels_without_tensors_and_tensors_without_labels_are_refused(sound: bytes) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["projectors"]["layers.0.block.1"] = document["projectors"].pop("layers.0.block.0")

    refused(with_document(sound, rename), "one entry for each")
    refused(with_document(sound, lambda d: d["projectors"].clear()), "one entry for each")


@pytest.mark.parametrize("key", ["hyperparameters", "provenance"])
def test_free_form_values_must_be_objects_and_shallow(sound: bytes, key: str) -> None:
    for junk in JUNK:
        if not isinstance(junk, dict):
            refused(with_document(sound, lambda d, junk=junk: d.update({key: junk})))
    deep: Any = 1
    for _ in range(40):
        deep = {"a": deep}
    refused(with_document(sound, lambda d: d.update({key: deep})), "deeper")


def test_every_field_of_the_base_is_checked(sound: bytes) -> None:
    fields = json.loads(split(sound)[0]["__metadata__"]["lethe"])["base"]
    for field in fields:
        refused(without(sound, field, "base"))
        for junk in (None, True, -1, 0, 1.5, "", [], {}):
            refused(with_document(sound, lambda d, f=field, j=junk: d["base"].update({f: j})))


def with_entry(data: bytes, change: Callable[[Header], None]) -> bytes:
    header, body = split(data)
    change(header)
    return join(header, body)


NAMES = ["x", "A", ".A", "layers.0.A", "layers.0.block", "layers.0.block.0.C", "layers.0.block.A",
         "layers.0.block.0.A.A", "layers.0.block.00.A", "layers.0.block.-1.A",
         "layers.-1.block.0.A", "layers.00.block.0.A", "layers.0.norm.0.A", "layers.1e3.block.0.A",
         "layers.0.block.0.gate.c", "../etc.A", "layers.0.block.0.A\0"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_an_unknown_name_is_refused(sound: bytes, name: str) -> None:
    def rename(header: Header) -> None:
        header[name] = header.pop("layers.0.block.0.A")

    refused(with_entry(sound, rename))


ENTRIES: list[Any] = [
    None, 3, [], "F32", {},
    {"dtype": "F32"}, {"dtype": "F32", "shape": [2, HIDDEN]},
    {"dtype": "F32", "shape": [2, HIDDEN], "data_offsets": [0]},
    {"dtype": "F32", "shape": [2, HIDDEN], "data_offsets": [256, 0]},
    {"dtype": "F32", "shape": [2, HIDDEN], "data_offsets": [-256, 0]},
    {"dtype": "F32", "shape": [2, HIDDEN], "data_offsets": [0, 2**63]},
    {"dtype": "F32", "shape": [2, HIDDEN], "data_offsets": [256, 512]},
    {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 256]},
    {"dtype": "F32", "shape": [-2, -HIDDEN], "data_offsets": [0, 256]},
    {"dtype": "F32", "shape": [True, 64], "data_offsets": [0, 256]},
    {"dtype": "F32", "shape": [0, HIDDEN], "data_offsets": [0, 0]},
    {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [2 * HIDDEN], "data_offsets": [0, 256]},
    {"dtype": "F32", "shape": [HIDDEN, 2], "data_offsets": [0, 256]},
    {"dtype": "F32", "shape": "ab", "data_offsets": "cd"},
    {"dtype": "I32", "shape": [2, HIDDEN], "data_offsets": [0, 256]},
    {"dtype": "BF16", "shape": [4, HIDDEN], "data_offsets": [0, 256]},
    {"dtype": "F9", "shape": [2, HIDDEN], "data_offsets": [0, 256]},
    {"dtype": ["F32"], "shape": [2, HIDDEN], "data_offsets": [0, 256]},
]  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES, ids=range(len(ENTRIES)))
def test_an_entry_that_does_not_fit_the_data_is_refused(sound: bytes, entry: object) -> None:
    refused(with_entry(sound, lambda header: header.update({"layers.0.block.0.A": entry})))


def test_half_a_projector_and_none_are_refused(sound: bytes) -> None:
    header, body = split(sound)
    half = body[: len(body) // 2]
    one = {
        "__metadata__": header["__metadata__"],
        "layers.0.block.0.A": header["layers.0.block.0.A"],
    }
    refused(join(one, half), "tensors A and B")
    refused(join({"__metadata__": header["__metadata__"]}, b""), "one entry for each")
    empty = with_document(join({"__metadata__": header["__metadata__"]}, b""),
                          lambda d: d.update(projectors={}))  # fmt: skip
    refused(empty, "at least one projector")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_refused(sound: bytes, value: float) -> None:
    refused(sound[:-4] + struct.pack("<f", value), "finite")


def test_an_orthonormal_claim_that_is_false_is_refused(sound: bytes) -> None:
    change = lambda d: d["projectors"]["layers.0.block.0"].update(orthonormal=True)  # noqa: E731
    refused(with_document(sound, change), "orthonormal")
