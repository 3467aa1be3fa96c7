"""Plain directions as profiles that ablate or steer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lethe_projections import artifact, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.decoder import module_at
from lethe_projections.errors import IncompatibleError, InterchangeError
from lethe_projections.interchange import directions, foreign
from lethe_projections.projector import Site

from .adapters import mergeable
from .conftest import HIDDEN, LAYERS, VOCAB, rows


def write(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, path, {"format": "pt", "made_by": "somebody"})
    return path


def output(model: Any, site: Site) -> Tensor:
    """What the site's module writes, its edit included."""
    seen: list[Tensor] = []

    def see(_m: Any, _i: Any, out: Any) -> None:
        seen.append(out[0] if isinstance(out, tuple) else out)

    handle = module_at(model, site).register_forward_hook(see)
    with torch.no_grad():
        model(input_ids=torch.arange(9)[None] % VOCAB)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("hook", ["block", "attn", "mlp"])
def test_an_ablated_span_is_gone_and_the_rest_untouched(
    hook: str, model: Any, base: BaseModel, tmp_path: Path
) -> None:
    span = rows(3, 2, HIDDEN)
    path = write(tmp_path / "d.safetensors", {f"layers.1.{hook}": span})
    plain = output(model, Site(1, hook))
    with reference.edited(model, directions.read(path, base, "ablate")) as edited:
        found = output(edited, Site(1, hook))
    expected = plain.double() - plain.double() @ torch.linalg.pinv(span.double()) @ span.double()
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert (plain @ span.T).abs().max() > 0.1
    assert (found @ span.T).abs().max() < 1e-4


@pytest.mark.parametrize("hook", ["block", "attn", "mlp", "down_proj"])
@pytest.mark.parametrize("shape", [(HIDDEN,), (1, HIDDEN)])
def test_a_direction_to_steer_by_is_added(
    hook: str, shape: tuple[int, ...], model: Any, base: BaseModel, tmp_path: Path
) -> None:
    direction = rows(3, 1, HIDDEN)
    path = write(tmp_path / "d.safetensors", {f"layers.2.{hook}": direction.reshape(shape)})
    plain = output(model, Site(2, hook))
    with reference.edited(model, directions.read(path, base, "steer", 2.0)) as edited:
        found = output(edited, Site(2, hook))
    assert torch.allclose(found - plain, 2 * direction.expand_as(plain), atol=1e-5)
    assert direction.abs().max() > 1


def test_the_profile_names_its_source(base: BaseModel, tmp_path: Path) -> None:
    path = write(tmp_path / "d.safetensors", {"layers.1.block": rows(1, 1, HIDDEN).half()})
    profile = directions.read(path, base, "ablate")
    assert profile.method == "directions"
    assert profile.hyperparameters["use"] == "ablate"
    assert profile.provenance["source_format"] == "safetensors-directions"
    assert profile.provenance["source_sha256"] == artifact.digest(path.read_bytes())
    assert profile.projectors[0].orthonormal


@pytest.mark.parametrize(
    ("tensors", "use", "reason"),
    [
        ({"refusal": rows(1, 1, HIDDEN)}, "ablate", "'refusal'"),
        ({"layers.1.norm": rows(1, 1, HIDDEN)}, "ablate", "'layers.1.norm'"),
        ({"layers.1.down_proj": rows(1, 1, HIDDEN)}, "ablate", "found down_proj"),
        ({"layers.1.block": torch.zeros(1, HIDDEN)}, "ablate", "not zero"),
        ({"layers.1.block": rows(1, 2, HIDDEN)}, "steer", "one direction to steer by, found 2"),
        ({"layers.1.block": rows(1, 1, HIDDEN).double()}, "steer", "float64"),
        ({"layers.1.block": rows(1, 1, HIDDEN) / 0}, "steer", "finite"),
        ({"layers.1.block": rows(1, 1, HIDDEN)}, "remove", "'remove'"),
        ({}, "steer", "found none"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    tensors: dict[str, Tensor], use: str, reason: str, base: BaseModel, tmp_path: Path
) -> None:
    with pytest.raises(InterchangeError) as refused:
        directions.read(write(tmp_path / "d.safetensors", tensors), base, use)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {f"layers.{LAYERS}.block": rows(1, 1, HIDDEN)},
        {"layers.1.block": rows(1, 1, HIDDEN + 1)},
        {"layers.1.block": rows(1, 4, HIDDEN).reshape(2, 2, HIDDEN)},
    ],
)
@pytest.mark.parametrize("use", directions.USES)
def test_directions_for_another_model_are_refused(
    tensors: dict[str, Tensor], use: str, base: BaseModel, tmp_path: Path
) -> None:
    with pytest.raises((IncompatibleError, InterchangeError), match="expected"):
        directions.read(write(tmp_path / "d.safetensors", tensors), base, use)


def test_an_ablation_has_no_strength(base: BaseModel, tmp_path: Path) -> None:
    path = write(tmp_path / "d.safetensors", {"layers.1.block": rows(1, 1, HIDDEN)})
    with pytest.raises(InterchangeError, match="strength: expected 1 for an ablation"):
        directions.read(path, base, "ablate", 0.5)


def test_a_profile_is_no_file_of_directions(base: BaseModel, tmp_path: Path) -> None:
    artifact.write(mergeable(base), tmp_path / "p.safetensors")
    with pytest.raises(InterchangeError, match=r"layers\.1\.down_proj\.0\.A"):
        directions.read(tmp_path / "p.safetensors", base, "ablate")


def test_a_file_past_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(101))
    assert len(foreign.Foreign.read(tmp_path / "big", 101).data) == 101
    with pytest.raises(InterchangeError, match="at most 100 bytes"):
        foreign.Foreign.read(tmp_path / "big", 100)
