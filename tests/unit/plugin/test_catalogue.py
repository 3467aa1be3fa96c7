"""A folder of profiles: validated, replaced whole or not at all, shared between processes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError, IncompatibleError, LetheError
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import SelectionError, UnavailableError, UnknownProfileError
from lethe_vllm.selection import Part, Selection

BASE = BaseModel("LlamaForCausalLM", 8, 2, 16, 32, "f" * 64)


def one(name: str, digest: str | None = None) -> Selection:
    return Selection((Part(name, digest),))


def data(seed: int, base: BaseModel = BASE) -> bytes:
    torch.manual_seed(seed)
    projector = Projector(Site(0, "block"), torch.randn(1, 8), torch.randn(1, 8))
    return artifact.to_bytes(Profile(base, (projector,), "synthetic"))


def objects(catalogue: Catalogue) -> Path:
    assert catalogue.objects.folder is not None
    return catalogue.objects.folder


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "profiles", BASE)


def test_a_profile_is_read_once_for_its_first_load(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.put("france", data(1))
    catalogue.put("spain", data(2))
    opened = Catalogue(tmp_path / "profiles", BASE)
    read: list[str] = []
    get = opened.objects.get
    monkeypatch.setattr(opened.objects, "get", lambda digest: (read.append(digest), get(digest))[1])
    for name, seed in (("france", 1), ("spain", 2)):
        assert opened.data(opened.entry(name).variant) == data(seed)
    assert read == [artifact.digest(data(1)), artifact.digest(data(2))]
    assert opened.data(opened.entry("france").variant) == data(1)


def test_a_name_means_the_digest_of_its_file(catalogue: Catalogue) -> None:
    entry = catalogue.put("france", data(1))
    assert entry.digest == artifact.digest(data(1))
    for selection in ("france", f"france@{entry.digest[:8]}", f"france@{entry.digest}"):
        assert [e.variant for e in catalogue.find(Selection.parse(selection))] == [entry.variant]
    assert catalogue.data(entry.variant) == data(1)
    assert catalogue.find(one("base")) == ()


def test_unknown_names_and_digests_are_errors_that_list_what_there_is(catalogue: Catalogue) -> None:
    catalogue.put("france", data(1))
    with pytest.raises(UnknownProfileError, match="base, france, found 'japan'"):
        catalogue.find(one("japan"))
    with pytest.raises(UnknownProfileError, match="replaced"):
        catalogue.find(one("france", "0" * 12))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (data(2)[:-3], ArtifactError),
        (b"\x80\x04pickle", ArtifactError),
        (b"", ArtifactError),
        (data(2, replace(BASE, fingerprint="0" * 64)), IncompatibleError),
    ],
)
def test_a_refused_put_leaves_everything_as_it_was(
    bad: bytes, error: type[LetheError], catalogue: Catalogue
) -> None:
    before = catalogue.put("france", data(1))
    for name in ("france", "other"):
        with pytest.raises(error):
            catalogue.put(name, bad)
    assert catalogue.entry("france") == before
    assert catalogue.listed() == ["france"]
    assert os.listdir(objects(catalogue)) == [f"{before.digest}.safetensors"]


@pytest.mark.parametrize("name", ["base", "../x", "a/b", ".x", "X", "", "a" * 65, "a\n"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str, catalogue: Catalogue) -> None:
    for act in (lambda: catalogue.put(name, data(1)), lambda: catalogue.entry(name)):
        with pytest.raises(SelectionError, match="expected"):
            act()
    assert (catalogue.listed(), os.listdir(objects(catalogue))) == ([], [])


def test_two_catalogues_of_one_folder_agree(catalogue: Catalogue) -> None:
    other = Catalogue(catalogue.folder, BASE)
    first = catalogue.put("france", data(1))
    assert other.entry("france").digest == first.digest
    second = other.put("france", data(2))
    assert catalogue.entry("france").digest == second.digest
    other.delete("france")
    with pytest.raises(UnknownProfileError):
        catalogue.entry("france")


def test_what_others_replaced_or_removed_is_told_once(catalogue: Catalogue) -> None:
    for name in ("changed", "removed", "put", "deleted"):
        catalogue.put(name, data(1 if name == "changed" else 2))
    other = Catalogue(catalogue.folder, BASE)
    other.put("changed", data(3))
    other.put("changed", data(4))
    other.delete("removed")
    catalogue.put("put", data(3))
    catalogue.delete("deleted")
    assert catalogue.take_replaced() == [artifact.digest(data(seed)) for seed in (1, 2)]
    assert catalogue.take_replaced() == []
    kept = {artifact.digest(data(seed)) for seed in (3, 4)}
    assert set(catalogue._profiles) <= kept, "what no name means is kept no longer"


def test_bytes_of_a_replaced_version_are_still_there(catalogue: Catalogue) -> None:
    old = catalogue.put("france", data(1)).variant
    catalogue.put("france", data(2))
    assert catalogue.data(old) == data(1)
    torch.testing.assert_close(
        catalogue.profile(old).projectors[0].A, catalogue.check(data(1)).projectors[0].A
    )


def test_a_folder_with_a_bad_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"not an artifact")
    with pytest.raises(ArtifactError, match=r"bad\.safetensors"):
        Catalogue(tmp_path, BASE)
    (tmp_path / "bad.safetensors").rename(tmp_path / "Not A Name.safetensors")
    with pytest.raises(SelectionError, match="profile name"):
        Catalogue(tmp_path, BASE)


def test_a_file_put_there_later_whose_name_cannot_be_requested_changes_nothing(
    catalogue: Catalogue,
) -> None:
    catalogue.put("france", data(1))
    assert catalogue.folder is not None
    (catalogue.folder / "Not A Name.safetensors").write_bytes(data(2))
    assert catalogue.listed() == ["france"]
    assert not catalogue.holds(artifact.digest(data(2)))
    with pytest.raises(UnknownProfileError, match="one of base, france, found"):
        catalogue.entry("spain")
    assert catalogue.put("peru", data(3)).name == "peru"


def test_a_put_reads_nothing_back(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = catalogue.check(data(1))
    monkeypatch.setattr(catalogue, "check", lambda _: pytest.fail("checked again"))
    entry = catalogue.put("france", data(1), profile)
    assert (entry.digest, entry.profile) == (artifact.digest(data(1)), profile)
    assert catalogue.entry("france") == entry
    assert Catalogue(catalogue.folder, BASE).entry("france").digest == entry.digest


def test_a_put_that_dies_half_way_leaves_no_name(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(UnavailableError, match="no space"):
        catalogue.put("france", data(1))
    assert (catalogue.listed(), os.listdir(objects(catalogue))) == ([], [])
