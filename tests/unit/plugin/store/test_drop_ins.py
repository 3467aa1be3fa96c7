"""Files that are put into the folder of profiles, changed there and removed."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lethe_projections import artifact
from lethe_projections.errors import ArtifactError
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import UnavailableError, UnknownProfileError
from lethe_vllm.store.meanings import Change

from ..test_catalogue import BASE, data


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path, BASE)


def history(catalogue: Catalogue) -> list[tuple[str, bool]]:
    """Actions, the newest first, and whether the name meant a profile after them."""
    return [(one.action, one.digest is not None) for one in catalogue.names.history("france")]


def test_a_file_is_a_version_and_so_is_each_change_of_it(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    file = tmp_path / "france.safetensors"
    digests = []
    for seed in (1, 2):
        file.write_bytes(data(seed))
        digests.append(catalogue.entry("france").digest)
        catalogue.entry("france")
    assert len(set(digests)) == 2
    assert history(catalogue) == [("file", True), ("file", True)]
    assert Catalogue(tmp_path, BASE).entry("france").digest == digests[1]
    assert len(history(catalogue)) == 2, "a file is taken in once"


def test_a_removed_file_takes_its_name_with_it(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(data(1))
    catalogue.entry("france")
    file.unlink()
    with pytest.raises(UnknownProfileError):
        catalogue.entry("france")
    assert catalogue.listed() == []
    assert history(catalogue) == [("file", False), ("file", True)]
    file.write_bytes(data(1))
    assert catalogue.entry("france").named.version == 3


def test_what_happened_last_counts(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(data(1))
    catalogue.entry("france")
    put = catalogue.put("france", data(2)).digest
    assert catalogue.entry("france").digest == put, "the file has not changed since"
    file.unlink()
    assert catalogue.entry("france").digest == put, "the name was put, and is not the file's"
    file.write_bytes(data(3))
    assert catalogue.entry("france").digest != put


def test_a_deleted_name_stays_deleted_while_its_file_is_as_it_was(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(data(1))
    catalogue.entry("france")
    catalogue.delete("france")
    for seen in (catalogue, Catalogue(tmp_path, BASE)):
        with pytest.raises(UnknownProfileError):
            seen.entry("france")
    assert file.exists(), "files are the user's"
    file.write_bytes(data(2))
    assert catalogue.entry("france").named.version == 3


@pytest.mark.parametrize("put_before", [False, True])
def test_a_file_that_is_no_profile_can_be_deleted_by_name(
    put_before: bool, catalogue: Catalogue, tmp_path: Path
) -> None:
    if put_before:
        catalogue.put("france", data(1))
    (tmp_path / "france.safetensors").write_bytes(data(2)[:-1])
    with pytest.raises(ArtifactError, match=r"france\.safetensors"):
        catalogue.entry("france")
    assert catalogue.delete("france").name == "france"
    with pytest.raises(UnknownProfileError):
        catalogue.entry("france")
    with pytest.raises(UnknownProfileError):
        catalogue.delete("france")


def test_a_file_does_not_change_a_pinned_name(
    catalogue: Catalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pinned = catalogue.put("france", data(1)).digest
    catalogue.names.mark("france", pinned=True)
    (tmp_path / "france.safetensors").write_bytes(data(2))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert catalogue.entry("france").digest == pinned
    assert [record.message.count("is pinned") for record in caplog.records] == [1]
    catalogue.names.mark("france", pinned=False)
    assert catalogue.entry("france").digest != pinned


def test_two_catalogues_take_a_file_in_once(catalogue: Catalogue, tmp_path: Path) -> None:
    other = Catalogue(tmp_path, BASE)
    (tmp_path / "france.safetensors").write_bytes(data(1))
    assert other.entry("france").variant == catalogue.entry("france").variant
    assert history(catalogue) == [("file", True)]
    os.unlink(tmp_path / "france.safetensors")
    for seen in (catalogue, other):
        with pytest.raises(UnknownProfileError):
            seen.entry("france")
    assert len(history(catalogue)) == 2


def test_a_file_that_was_but_touched_or_copied_undoes_nothing(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(data(1))
    catalogue.entry("france")
    put = catalogue.put("france", data(2)).digest
    file.chmod(0o600)
    assert catalogue.entry("france").digest == put
    catalogue.delete("france")
    copy = tmp_path / "copy"
    copy.write_bytes(file.read_bytes())
    copy.rename(file)
    for seen in (catalogue, Catalogue(tmp_path, BASE)):
        with pytest.raises(UnknownProfileError):
            seen.entry("france")
    file.write_bytes(data(3))
    assert catalogue.entry("france").named.version == 4


def test_many_who_meet_a_removed_file_at_once_all_find_the_name_gone(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    file = tmp_path / "france.safetensors"
    others = [catalogue, Catalogue(tmp_path, BASE)]

    def ask(place: int) -> bool:
        try:
            others[place % 2].entry("france")
        except UnknownProfileError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for seed in range(1, 11):
            file.write_bytes(data(seed))
            assert all(pool.map(ask, range(8)))
            file.unlink()
            assert not any(pool.map(ask, range(8)))
    assert len(history(catalogue)) == 20


def test_a_put_that_comes_before_a_removal_is_seen_stays(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(data(1))
    catalogue.entry("france")
    file.unlink()
    gone = catalogue.names.file_gone

    def put_first(name: str, source: str) -> None:
        catalogue.names.change(name, Change(catalogue.objects.put(data(2))))
        gone(name, source)

    monkeypatch.setattr(catalogue.names, "file_gone", put_first)
    assert catalogue.entry("france").digest == artifact.digest(data(2))


def test_a_file_that_goes_while_it_is_looked_at_is_gone(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(data(1))
    catalogue.entry("france")
    file.write_bytes(data(2))
    read = Path.read_bytes

    def removed_first(path: Path) -> bytes:
        file.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", removed_first)
    with pytest.raises(UnknownProfileError):
        catalogue.entry("france")
    assert history(catalogue) == [("file", False), ("file", True)]


@pytest.mark.parametrize("method", ["stat", "read"])
def test_a_file_that_cannot_be_read_is_an_error_and_hides_no_other(
    catalogue: Catalogue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    catalogue.put("spain", data(1))
    file = tmp_path / "france.safetensors"
    if method == "read":
        file.mkdir()
    else:
        file.symlink_to(file)
    with pytest.raises(UnavailableError, match=r"france\.safetensors: expected a file that may be"):
        catalogue.entry("france")
    with caplog.at_level(logging.WARNING):
        assert catalogue.listed() == ["spain"]
    assert "france.safetensors" in caplog.text


def test_a_file_that_was_refused_is_not_read_again_until_it_changes(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "france.safetensors"
    file.write_bytes(b"no profile")
    checked: list[bytes] = []
    check = catalogue.check
    monkeypatch.setattr(catalogue, "check", lambda data: (checked.append(data), check(data))[1])
    for _ in range(3):
        with pytest.raises(ArtifactError, match=r"profile france \(france.safetensors\)"):
            catalogue.entry("france")
    assert checked == [b"no profile"]
    file.write_bytes(data(1))
    assert catalogue.entry("france").digest == artifact.digest(data(1))


def test_a_history_has_the_file_that_nobody_asked_for_yet(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    catalogue.put("france", data(1))
    (tmp_path / "france.safetensors").write_bytes(data(2))
    assert [one.action for one in catalogue.history("france")] == ["file", "put"]
    (tmp_path / "france.safetensors").write_bytes(b"no profile")
    assert catalogue.earlier("france").digest == artifact.digest(data(1))
    named = catalogue.now("france")
    assert named is not None
    assert named.digest == artifact.digest(data(2))
