"""Writes the playground's `static/vendor` from the packages of npm that `vendor.toml` pins.

Run by hand when a pin changes; needs `npm`. A tarball is read only if its sha512 is the pinned one.
What is taken is taken as it is, but for two things: imports by a package's name become imports of
the file beside it, since a browser knows no packages, and the line that names a source map goes,
since the map does not come along. `vendor.json` says of each file where it is from, with its
sha256, which a test compares.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = HERE / "vendor.toml"
VENDOR = HERE.parent / "server" / "lethe_server" / "playground" / "static" / "vendor"

IMPORTS = {
    "preact": "preact.js",
    "preact/hooks": "preact-hooks.js",
    "@preact/signals-core": "signals-core.js",
    "./base.js": "diff-base.js",
    "../util/string.js": "diff-string.js",
    "./errors.js": "eventsource-parser-errors.js",
}
"""What the packages' files import, and the file that it is here."""

_IMPORT = re.compile(r"""\b(from|import)(\s*)(["'])([^"'\n]+)\3""")
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*\n?", re.MULTILINE)


class VendorError(Exception):
    """A package is not the pinned one, or its files are not as expected."""


@dataclass(frozen=True)
class Pin:
    """One package of npm.

    Attributes:
        package: its name.
        version: the one that is taken.
        licence: its SPDX identifier.
        integrity: `sha512-` and the tarball's digest in base64.
        files: those that are taken, with their names here.
    """

    package: str
    version: str
    licence: str
    integrity: str
    files: dict[str, str]


def pins() -> dict[str, Pin]:
    """Every pinned package, by its short name."""
    return {name: Pin(**pin) for name, pin in tomllib.loads(PINS.read_text()).items()}


def rewritten(text: str) -> str:
    """A module whose imports are of files beside it.

    Raises:
        VendorError: it imports what is not taken along.
    """

    def local(found: re.Match[str]) -> str:
        keyword, space, quote, name = found.groups()
        if name not in IMPORTS:
            raise VendorError(f"import: expected one of {sorted(IMPORTS)}, found {name!r}; add it")
        return f"{keyword}{space}{quote}./{IMPORTS[name]}{quote}"

    return _IMPORT.sub(local, _SOURCE_MAP.sub("", text))


def fetched(pin: Pin, folder: Path) -> Path:
    """The tarball of a package.

    Raises:
        VendorError: its digest is not the pinned one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise VendorError("npm: expected the program on PATH, found none; install it")
    wanted = f"{pin.package}@{pin.version}"
    command = [npm, "pack", "--silent", "--pack-destination", str(folder), wanted]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = folder.glob("*.tgz")
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if pin.integrity != f"sha512-{digest}":
        raise VendorError(
            f"{wanted}: expected {pin.integrity}, found sha512-{digest}; do not use what came"
        )
    return tarball


def member(tarball: Path, name: str) -> str:
    """The text of a file in a package.

    Raises:
        VendorError: there is none.
    """
    with tarfile.open(tarball) as packed:
        try:
            found = packed.extractfile(f"package/{name}")
        except KeyError:
            found = None
        if found is None:
            raise VendorError(f"{tarball.name}: expected {name}, found no such file; correct files")
        return found.read().decode()


def take(name: str, pin: Pin, vendor: Path) -> dict[str, dict[str, str]]:
    """Writes the files of a package and its licence; returns what `vendor.json` says of them.

    Raises:
        VendorError: the package is not the pinned one, or its files are not as expected.
    """
    said = {}
    with tempfile.TemporaryDirectory() as folder:
        tarball = fetched(pin, Path(folder))
        (vendor / f"{name}.licence.txt").write_text(member(tarball, "LICENSE"))
        for source, target in pin.files.items():
            text = member(tarball, source)
            data = (rewritten(text) if target.endswith(".js") else text).encode()
            (vendor / target).write_bytes(data)
            said[target] = {
                "package": pin.package,
                "version": pin.version,
                "licence": pin.licence,
                "source": source,
                "sha256": hashlib.sha256(data).hexdigest(),
            }
    return said


def write(vendor: Path) -> None:
    """Writes every file into a folder that is empty.

    Raises:
        VendorError: a package is not the pinned one, or its files are not as expected.
    """
    said: dict[str, dict[str, str]] = {}
    for name, pin in pins().items():
        said |= take(name, pin, vendor)
    (vendor / "vendor.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Writes the folder anew, beside the one that is there until all is fetched.

    Raises:
        VendorError: a package is not the pinned one, or its files are not as expected.
    """
    with tempfile.TemporaryDirectory(dir=VENDOR.parent, prefix=".vendor-") as beside:
        new = Path(beside) / "vendor"
        new.mkdir()
        write(new)
        if VENDOR.exists():
            VENDOR.rename(Path(beside) / "old")
        new.rename(VENDOR)


if __name__ == "__main__":
    main()
