"""How others' libraries are taken: by digest, with imports of files beside them."""

from __future__ import annotations

import importlib.util
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "requirements" / "vendor.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["vendor"] = module
    spec.loader.exec_module(module)
    return module


def test_imports_are_of_files_beside_a_module_and_source_maps_go(vendor: ModuleType) -> None:
    text = "import{h as t}from\"preact\";import './base.js';\n//# sourceMappingURL=a.map\n"
    assert vendor.rewritten(text) == "import{h as t}from\"./preact.js\";import './diff-base.js';\n"


def test_an_import_of_what_is_not_taken_along_is_refused(vendor: ModuleType) -> None:
    with pytest.raises(vendor.VendorError, match="found 'react'"):
        vendor.rewritten('import x from "react";')


def test_another_tarball_than_the_pinned_one_is_refused(
    vendor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\n: > "$4/other.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    folder = tmp_path / "folder"
    folder.mkdir()
    pin = vendor.Pin("preact", "1.0.0", "MIT", "sha512-other", {})
    with pytest.raises(vendor.VendorError, match="do not use what came"):
        vendor.fetched(pin, folder)


def test_a_file_that_a_package_does_not_have_is_named(vendor: ModuleType, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz"):
        pass
    with pytest.raises(vendor.VendorError, match=r"expected dist/a\.js"):
        vendor.member(tmp_path / "a.tgz", "dist/a.js")


@pytest.fixture
def folder(vendor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of before, which is written anew from two packages."""
    monkeypatch.setattr(vendor, "VENDOR", tmp_path / "vendor")
    monkeypatch.setattr(vendor, "pins", lambda: dict.fromkeys("ab"))
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "before.js").write_text("before")
    return tmp_path


def taken(name: str, pin: None, vendor: Path) -> dict[str, dict[str, str]]:
    (vendor / f"{name}.js").write_text(name)
    return {f"{name}.js": {}}


def test_the_folder_is_written_anew(
    vendor: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vendor, "take", taken)
    vendor.main()
    assert {file.name for file in folder.rglob("*")} == {"vendor", "a.js", "b.js", "vendor.json"}


def test_a_package_that_cannot_be_fetched_loses_nothing(
    vendor: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(name: str, pin: None, target: Path) -> dict[str, dict[str, str]]:
        if name == "b":
            raise vendor.VendorError("no such package")
        return taken(name, pin, target)

    monkeypatch.setattr(vendor, "take", failing)
    with pytest.raises(vendor.VendorError, match="no such package"):
        vendor.main()
    assert {file.name for file in folder.rglob("*")} == {"vendor", "before.js"}
