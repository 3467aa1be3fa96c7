"""A folder that appears whole or not at all."""

from pathlib import Path

import pytest

from lethe_projections.errors import InterchangeError
from lethe_projections.interchange import new_folder


def test_the_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    with new_folder.created(tmp_path / "out") as temporary:
        (temporary / "file").write_text("x")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "file").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_private_file_becomes_as_readable_as_the_folder(tmp_path: Path) -> None:
    with new_folder.created(tmp_path / "out") as temporary:
        (temporary / "file").touch(mode=0o600)
    folder = (tmp_path / "out").stat().st_mode
    assert (tmp_path / "out" / "file").stat().st_mode & 0o777 == folder & 0o666


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder.created(tmp_path / "out") as temporary:
        (temporary / "file").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["file", "folder/child", "missing/parent"])
def test_what_is_taken_or_has_no_parent_is_refused(taken: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder" / "child").mkdir(parents=True)
    (tmp_path / "folder" / "child" / "file").write_text("mine")
    with (
        pytest.raises(InterchangeError, match="out: expected"),
        new_folder.created(tmp_path / taken),
    ):
        raise AssertionError("nothing may be written")


def test_a_dangling_link_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InterchangeError):
        new_folder.check_free(tmp_path / "out")
