"""An artifact is a function of its profile, and a profile of its artifact."""

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError
from lethe_projections.profile import Profile
from lethe_projections.projector import Gate, Projector, Site

from .conftest import D_FF, HIDDEN, edit, rows


def test_reading_gives_back_what_was_written(profile: Profile) -> None:
    again = artifact.from_bytes(artifact.to_bytes(profile))
    assert again.sites == profile.sites == (Site(1, "block"), Site(2, "down_proj"))
    for old, new in zip(profile.projectors, again.projectors, strict=True):
        assert torch.equal(old.A, new.A)
        assert torch.equal(old.B, new.B)
        assert (old.a is None) == (new.a is None)
        assert old.a is None or new.a is None or torch.equal(old.a, new.a)
    for name in ("base", "method", "hyperparameters", "provenance"):
        assert getattr(again, name) == getattr(profile, name)


def test_the_same_profile_gives_the_same_bytes(profile: Profile) -> None:
    data = artifact.to_bytes(profile)
    turned = dataclasses.replace(
        profile,
        projectors=tuple(reversed(profile.projectors)),
        hyperparameters=dict(reversed(profile.hyperparameters.items())),
    )
    assert artifact.to_bytes(turned) == data
    assert artifact.to_bytes(artifact.from_bytes(data)) == data


def test_another_value_gives_another_digest(profile: Profile) -> None:
    digest = artifact.digest(artifact.to_bytes(profile))
    other = dataclasses.replace(profile, hyperparameters={"ridge": 0.25})
    assert len(digest) == 64
    assert artifact.digest(artifact.to_bytes(other)) != digest


def test_safetensors_itself_can_read_it(profile: Profile, tmp_path: Path) -> None:
    digest = artifact.write(profile, tmp_path / "p.safetensors")
    assert digest == artifact.digest((tmp_path / "p.safetensors").read_bytes())
    with safe_open(tmp_path / "p.safetensors", "pt") as file:
        assert list(file.metadata()) == ["lethe"]
        assert torch.equal(file.get_tensor("layers.1.block.0.A"), profile.projectors[0].A)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.safetensors"
    old = artifact.write(profile, path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        artifact.write(dataclasses.replace(profile, method="other"), path)
    assert [file.name for file in tmp_path.iterdir()] == ["p.safetensors"]
    assert artifact.digest(path.read_bytes()) == old


def test_a_file_that_cannot_be_read_is_an_artifact_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ArtifactError, match="check the path"):
            artifact.read(path)


def test_an_origin_too_long_to_be_read_again_is_not_written(profile: Profile) -> None:
    long = dataclasses.replace(profile, provenance={"hint": "x" * artifact.MAX_HEADER_BYTES})
    with pytest.raises(ArtifactError, match="bytes of metadata"):
        artifact.to_bytes(long)


def test_an_artifact_over_the_size_limit_is_refused(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    artifact.write(profile, path)
    with pytest.raises(ArtifactError, match="at most 100 bytes"):
        artifact.read(path, max_bytes=100)


def test_factors_that_share_memory_are_written_apart(base: BaseModel) -> None:
    Q = rows(0, 2, HIDDEN)
    shared = Profile(base, (Projector(Site(0, "block"), Q, Q),), "test")
    assert artifact.from_bytes(artifact.to_bytes(shared)).rank == 2


def test_orthonormality_is_checked_where_it_is_claimed(base: BaseModel) -> None:
    good = Projector.orthogonal(Site(0, "block"), rows(0, 3, HIDDEN))
    assert Profile(base, (good,), "mrp").rank == 3
    for bad in (
        {"A": 1.001 * good.A, "B": -1.001 * good.A},
        {"B": good.B * 0.9},
        {"a": torch.zeros(3)},
        {"gate": Gate(rows(1, 1, HIDDEN)[0])},
    ):
        assert dataclasses.replace(good, orthonormal=False, **bad).rank == 3
        with pytest.raises(ArtifactError, match="orthonormal"):
            dataclasses.replace(good, **bad)


def test_gates_scopes_and_several_projectors_of_a_site_are_kept(base: BaseModel) -> None:
    site, w = Site(2, "block"), rows(4, 1, HIDDEN)[0]
    gated = [
        dataclasses.replace(edit("block", 2), gate=Gate(w, 0.1, hard=n % 2 == 0)) for n in range(11)
    ]
    mixed = (
        Projector.orthogonal(site, rows(1, 2, HIDDEN), scope="last_prompt_token"),
        edit("block", 2, offset=True),
        dataclasses.replace(edit("block", 2), scope="generated"),
        *gated,
    )
    profile = Profile(base, mixed, "test")
    again = artifact.from_bytes(artifact.to_bytes(profile))
    assert again.positional
    assert again.gated
    assert again.rank == 2 * len(mixed)
    assert again.scopes == ("all", "generated", "last_prompt_token")
    for old, new in zip(profile.projectors, again.projectors, strict=True):
        assert (old.scope, old.orthonormal) == (new.scope, new.orthonormal)
        assert torch.equal(old.A, new.A)
        assert (old.gate is None) == (new.gate is None)
        if old.gate is not None and new.gate is not None:
            assert torch.equal(old.gate.w, new.gate.w)
            assert (old.gate.b, old.gate.hard) == (new.gate.b, new.gate.hard)
    assert artifact.to_bytes(again) == artifact.to_bytes(profile)


@pytest.mark.parametrize(
    "projectors",
    [
        (),
        (edit("mlp"), edit("mlp")),
        (Projector.orthogonal(Site(0, "mlp"), rows(0, 1, HIDDEN)),) * 2,
        tuple(
            dataclasses.replace(edit("mlp", rank=12), scope=s)
            for s in ("all", "prompt", "generated")
        ),
        (edit("mlp", layer=4),),
        (Projector(Site(0, "mlp"), rows(0, 1, D_FF), rows(0, 1, D_FF)),),
        (Projector(Site(0, "down_proj"), rows(0, 1, HIDDEN), rows(0, 1, HIDDEN)),),
        (edit("mlp", rank=HIDDEN + 1),),
        (edit("down_proj", rank=HIDDEN + 1),),
    ],
)
def test_projectors_that_do_not_fit_the_base_are_refused(
    base: BaseModel, projectors: tuple[Projector, ...]
) -> None:
    with pytest.raises(ArtifactError, match="expected"):
        Profile(base, projectors, "test")


@pytest.mark.parametrize(
    "change",
    [{"method": ""}, {"method": "A b"}, {"method": 1}, {"hyperparameters": {"x": float("nan")}},
     {"hyperparameters": {"x": object()}}, {"provenance": {"x": "\ud800"}}, {"provenance": 3}],
)  # fmt: skip
def test_labels_of_the_wrong_kind_are_refused(profile: Profile, change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="expected"):
        dataclasses.replace(profile, **change)  # type: ignore[arg-type]
