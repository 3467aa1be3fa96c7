"""Where a store is, by its options."""

from pathlib import Path

import pytest

from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.store.place import Place

from ..test_catalogue import BASE

URL = "postgresql+psycopg://host/lethe"


def test_a_folder_of_profiles_has_its_store_inside(tmp_path: Path) -> None:
    place = Place.of(tmp_path, None, None)
    assert place.database == f"sqlite:///{tmp_path}/.lethe/store.db"
    assert (place.objects, place.drop_ins) == (f"{tmp_path}/.lethe/objects", tmp_path)


def test_a_store_may_be_elsewhere_and_its_objects_too(tmp_path: Path) -> None:
    place = Place.of(None, str(tmp_path), "s3://bucket/profiles")
    assert place.database == f"sqlite:///{tmp_path}/store.db"
    assert (place.objects, place.drop_ins) == ("s3://bucket/profiles", None)


def test_a_store_whose_objects_are_elsewhere_makes_its_own_folder(tmp_path: Path) -> None:
    Catalogue(Place.of(tmp_path / "profiles", None, str(tmp_path / "objects")), BASE)
    assert (tmp_path / "profiles" / ".lethe" / "store.db").is_file()


def test_a_database_needs_a_place_for_objects_and_takes_in_no_files() -> None:
    assert Place.of(None, URL, "/srv/objects") == Place(URL, "/srv/objects")
    with pytest.raises(UnsupportedError, match="--objects"):
        Place.of(None, URL, None)
    for store in (URL, "/srv/store"):
        with pytest.raises(UnsupportedError, match="lethe profiles add"):
            Place.of(Path("profiles"), store, "/srv/objects")
