"""GGUF control vectors as profiles. Written by the gguf package, as repeng writes them."""

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from lethe_projections import reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError, InterchangeError
from lethe_projections.interchange import control_vector
from lethe_projections.interchange.gguf_file import GGUF

from .conftest import HIDDEN, LAYERS, VOCAB, rows


def vectors(layers: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    return {f"direction.{layer}": rows(layer, 1, HIDDEN)[0].numpy() for layer in layers}


def write(
    path: Path,
    tensors: dict[str, Any],
    architecture: str = "controlvector",
    count: int | None = None,
    **text: str,
) -> Path:
    """As repeng's `export_gguf`; `text` adds keys, with _ for a dot."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", len(tensors) if count is None else count)
    for key, value in text.items():
        writer.add_string(key.replace("_", "."), value)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def residuals(model: Any) -> list[torch.Tensor]:
    """What each block reads, so that entry l + 1 is what block l left in the residual stream."""
    seen: list[torch.Tensor] = []
    handles = [
        block.register_forward_pre_hook(lambda _block, args: seen.append(args[0]))
        for block in model.model.layers
    ]
    with torch.no_grad():
        model(input_ids=torch.arange(7)[None] % VOCAB)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_direction_is_added_after_the_block_of_its_number(
    layer: int, model: Any, base: BaseModel, tmp_path: Path
) -> None:
    path = write(tmp_path / "v.gguf", vectors((layer,)))
    plain = residuals(model)
    with reference.edited(model, control_vector.read(path, base, strength=-1.5)) as edited:
        moved = residuals(edited)
    for index in range(layer + 1):
        assert torch.equal(moved[index], plain[index])
    added = -1.5 * torch.from_numpy(vectors((layer,))[f"direction.{layer}"])
    assert torch.allclose(moved[layer + 1] - plain[layer + 1], added.expand(1, 7, -1), atol=1e-5)
    assert added.abs().max() > 1


def test_the_whole_file_is_read(base: BaseModel, tmp_path: Path) -> None:
    path = write(tmp_path / "v.gguf", vectors(), general_name="happy")
    profile = control_vector.read(path, base)
    assert [str(site) for site in profile.sites] == [f"layers.{n}.block" for n in (1, 2, 3)]
    assert torch.equal(profile.projectors[1].B, rows(2, 1, HIDDEN))
    assert profile.method == "control-vector"
    assert profile.provenance["source_format"] == "gguf-control-vector"
    assert profile.provenance["model_hint"] == "llama"
    assert profile.hyperparameters == {"strength": 1.0}


def test_float16_is_read(base: BaseModel, tmp_path: Path) -> None:
    half = {name: values.astype(np.float16) for name, values in vectors().items()}
    profile = control_vector.read(write(tmp_path / "v.gguf", half), base)
    assert torch.equal(profile.projectors[0].B[0], torch.from_numpy(half["direction.1"]).float())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"architecture": "llama"}, "general.architecture 'controlvector', found 'llama'"),
        ({"count": 7}, "layer_count, 7, found 3"),
        ({"glp_mode": "project"}, "'glp.mode'"),
        ({"controlvector_normalize": "yes"}, "'controlvector.normalize'"),
    ],
)
def test_metadata_that_may_change_the_meaning_is_refused(
    options: dict[str, Any], reason: str, base: BaseModel, tmp_path: Path
) -> None:
    with pytest.raises(InterchangeError) as refused:
        control_vector.read(write(tmp_path / "v.gguf", vectors(), **options), base)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"blk.0.ffn_down.weight": np.ones(HIDDEN, np.float32)}, "blk.0.ffn_down.weight"),
        ({"direction.-1": np.ones(HIDDEN, np.float32)}, "direction.-1"),
        ({"direction.01": np.ones(HIDDEN, np.float32)}, "direction.01"),
        ({"direction.1": np.ones(HIDDEN, np.int32)}, "neither float32 nor float16"),
        ({"direction.1": np.ones(HIDDEN, np.float64)}, "neither float32 nor float16"),
        ({"direction.1": np.full(HIDDEN, np.nan, np.float32)}, "finite"),
        ({}, "found 0"),
    ],
)
def test_another_tensor_is_refused_by_name(
    tensors: dict[str, Any], reason: str, base: BaseModel, tmp_path: Path
) -> None:
    with pytest.raises(InterchangeError) as refused:
        control_vector.read(write(tmp_path / "v.gguf", tensors), base)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {f"direction.{LAYERS}": np.ones(HIDDEN, np.float32)},
        {"direction.1": np.ones(HIDDEN + 1, np.float32)},
        {"direction.1": np.ones((1, HIDDEN), np.float32)},
    ],
)
def test_a_vector_for_another_model_is_refused(
    tensors: dict[str, Any], base: BaseModel, tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleError, match="base model"):
        control_vector.read(write(tmp_path / "v.gguf", tensors), base)


@pytest.mark.parametrize("strength", [0.0, float("nan"), float("inf"), 1e38])
def test_a_strength_that_does_nothing_or_too_much_is_refused(
    strength: float, base: BaseModel, tmp_path: Path
) -> None:
    path = write(tmp_path / "v.gguf", {"direction.1": np.full(HIDDEN, 99, np.float32)})
    with pytest.raises(InterchangeError, match="strength"):
        control_vector.read(path, base, strength)


def test_a_file_cut_anywhere_is_refused(base: BaseModel, tmp_path: Path) -> None:
    whole = write(tmp_path / "v.gguf", vectors(), general_name="x").read_bytes()
    control_vector.read(tmp_path / "v.gguf", base)
    for length in range(0, len(whole), 3):
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(InterchangeError):
            control_vector.read(tmp_path / "cut.gguf", base)


def header(tensors: int, fields: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + rest


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04" + bytes(64),
        header(0, 2**63),
        header(2**63, 0),
        header(0, 0, version=1),
        header(0, 0, version=3 << 24),
        header(0, 1, struct.pack("<Q", 2**62)),
        header(0, 1, struct.pack("<Q1sIIQ", 1, b"k", 9, 0, 2**60)),
        header(0, 1, struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1)),
        header(0, 1, struct.pack("<Q1sI", 1, b"k", 77)),
        header(1, 0, struct.pack("<Q1sI", 1, b"t", 2**31)),
        header(1, 0, struct.pack("<Q1sIQQIQ", 1, b"t", 2, 2**62, 2**62, 0, 0)),
        header(1, 0, struct.pack("<Q1sIQIQ", 1, b"t", 1, 4, 0, 2**63)),
        header(0, 1, struct.pack("<Q1sIQ1s", 1, b"\xff", 8, 1, b"v")),
        header(0, 2, 2 * struct.pack("<Q1sII", 1, b"k", 4, 1)),
    ],
)
def test_a_hostile_header_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ValueError):
        GGUF.parse(data)


def test_the_reader_agrees_with_the_gguf_package(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "f.gguf", "any")
    writer.add_array("list", ["a", "bc"])
    writer.add_bool("flag", True)
    writer.add_float32("number", 0.5)
    writer.add_custom_alignment(64)
    expected = {"one": np.arange(12, dtype=np.float32).reshape(3, 4), "two": np.ones(5, np.float16)}
    for name, tensor in expected.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = GGUF.parse((tmp_path / "f.gguf").read_bytes())
    assert found.metadata["list"] == ["a", "bc"]
    assert (found.metadata["flag"], found.metadata["number"]) == (True, 0.5)
    for name, tensor in expected.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert np.array_equal(found.tensors[name], tensor)
