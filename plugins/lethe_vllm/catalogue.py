"""Named profiles in a folder, `NAME.safetensors` each. Knows nothing of the engine.

The folder is the truth: every look-up compares the file's identity with what was last read, so
several processes that share it agree, and a file dropped into it is served. Writes are atomic.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lethe_projections import artifact, base_model, durable
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import LetheError
from lethe_projections.profile import Profile
from lethe_vllm.errors import UnavailableError, UnknownProfileError
from lethe_vllm.selection import BASE, Part, Selection, Variant, check_name, is_name

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Entry:
    """A profile under its name, validated against the base model.

    Attributes:
        name: what requests call it.
        digest: sha256 of its file.
        profile: its contents.
        modified: Unix time in seconds of the file's last change.
    """

    name: str
    digest: str
    profile: Profile
    modified: float

    @property
    def variant(self) -> Variant:
        return Variant(self.name, self.digest)


class Catalogue:
    """Profiles by name, for one base model.

    Attributes:
        folder: where the files are.
        base: the model they must be for.
    """

    def __init__(self, folder: Path | None, base: BaseModel) -> None:
        """Opens `folder`, which is created if missing; None makes a private one for this process.

        Raises:
            LetheError: a file in it is not a valid profile for `base`, or its name could not be
                requested.
        """
        self._private = tempfile.TemporaryDirectory(prefix="lethe-") if folder is None else None
        self.folder = Path(self._private.name) if self._private else Path(folder or "")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.base = base
        self._read: dict[str, tuple[tuple[int, ...], Entry]] = {}
        self._replaced: list[str] = []
        self._lock = threading.Lock()
        for file in self._files():
            self.entry(_name(file))

    def names(self) -> list[str]:
        """Every name, sorted; not of files put there since whose name could not be requested."""
        return sorted(_name(file) for file in self._files() if is_name(_name(file)))

    def entry(self, name: str) -> Entry:
        """The profile of that name, as its file is now.

        Raises:
            UnknownProfileError: there is none.
            LetheError: its file is not a valid profile for the base model.
        """
        file = self.folder / f"{check_name(name)}{SUFFIX}"
        try:
            with file.open("rb") as handle:
                return self._entry(name, os.fstat(handle.fileno()), file)
        except FileNotFoundError:
            self._forget(name)
            raise self._unknown(name) from None

    def take_replaced(self) -> list[str]:
        """Digests that a name had, until somebody else changed or removed its file; told once."""
        with self._lock:
            taken, self._replaced = self._replaced, []
        return taken

    def _forget(self, name: str) -> None:
        with self._lock:
            known = self._read.pop(name, None)
            if known is not None:
                self._replaced.append(known[1].digest)

    def find(self, selection: Selection) -> tuple[Entry, ...]:
        """The profiles that a selection means now, sorted by name; () for the base.

        Raises:
            UnknownProfileError: no such name, or it has another digest.
            LetheError: as `entry`.
        """
        return () if selection.is_base else tuple(map(self._find, selection.parts))

    def _find(self, part: Part) -> Entry:
        entry = self.entry(part.name)
        if part.digest is not None and not entry.digest.startswith(part.digest):
            raise UnknownProfileError(
                f"profile {part.name}: expected digest {part.digest}, found "
                f"{entry.digest}; it was replaced: ask for the new digest, or for the name alone"
            )
        return entry

    def holds(self, digest: str) -> bool:
        """Whether some name has this digest. Of thousands, those are opened that changed."""
        with os.scandir(self.folder) as files:
            return any(self._has(file, digest) for file in files)

    def _has(self, file: os.DirEntry[str], digest: str) -> bool:
        name = file.name.removesuffix(SUFFIX)
        if name == file.name or not is_name(name):
            return False
        try:
            known = self._read.get(name)
            if known is None or known[0] != _identity(file.stat()):
                return self.entry(name).digest == digest
            return known[1].digest == digest
        except (FileNotFoundError, LetheError):
            return False  # deleted since the folder was listed, or no profile, and so not this one

    def profile(self, variant: Variant) -> Profile:
        """The contents of a single profile.

        Raises:
            UnknownProfileError: its name was deleted.
            UnavailableError: the file changed since the variant was resolved.
            LetheError: as `entry`.
        """
        entry = self.entry(variant.name)
        if entry.digest != variant.digest:
            raise _changed(variant)
        return entry.profile

    def data(self, variant: Variant) -> bytes:
        """The artifact's bytes.

        Raises:
            UnavailableError: the file changed since the variant was resolved.
        """
        try:
            data = (self.folder / f"{check_name(variant.name)}{SUFFIX}").read_bytes()
        except FileNotFoundError:
            data = b""
        if artifact.digest(data) != variant.digest:
            raise _changed(variant)
        return data

    def check(self, data: bytes) -> Profile:
        """Validates an artifact against the format and the base model.

        Raises:
            ArtifactError: malformed.
            IncompatibleError: for another model.
        """
        profile = artifact.from_bytes(data)
        base_model.check(profile.base, self.base)
        return profile

    def put(self, name: str, data: bytes, checked: Profile | None = None) -> Entry:
        """Stores a profile under a name, replacing what is there in one step.

        Args:
            name: what requests will call it.
            data: the artifact.
            checked: what `check` made of it, if it has.

        Raises:
            LetheError: it is not a valid profile for the base model; nothing is changed.
        """
        file = self.folder / f"{check_name(name)}{SUFFIX}"
        profile = checked or self.check(data)
        written = durable.write(file, data)
        with contextlib.suppress(FileNotFoundError):  # deleted already: `entry` says so
            stat = file.stat()
            # All but the time of the renaming.
            if _identity(stat)[:-1] == _identity(written)[:-1]:
                entry = Entry(name, artifact.digest(data), profile, stat.st_mtime)
                with self._lock:
                    self._read[name] = (_identity(stat), entry)
        return self.entry(name)

    def delete(self, name: str) -> Variant:
        """Forgets a name, also of a damaged file; returns what it was.

        Raises:
            UnknownProfileError: there is none.
        """
        file = self.folder / f"{check_name(name)}{SUFFIX}"
        try:
            digest = artifact.digest(file.read_bytes())
            file.unlink()
        except FileNotFoundError:
            raise self._unknown(name) from None
        with self._lock:
            self._read.pop(name, None)
        durable.sync(self.folder)
        return Variant(name, digest)

    def _unknown(self, name: str) -> UnknownProfileError:
        return UnknownProfileError(
            f"profile: expected one of {', '.join([BASE, *self.names()])}, found '{name}'; "
            "PUT it first, or correct the name"
        )

    def _files(self) -> Iterator[Path]:
        return (file for file in self.folder.glob(f"*{SUFFIX}") if not file.name.startswith("."))

    def _entry(self, name: str, stat: os.stat_result, file: Path) -> Entry:
        identity = _identity(stat)
        with self._lock:
            known = self._read.get(name)
            if known is None or known[0] != identity:
                before, known = known, (identity, self._validated(name, file, stat.st_mtime))
                self._read[name] = known
                if before is not None and before[1].digest != known[1].digest:
                    self._replaced.append(before[1].digest)
            return known[1]

    def _validated(self, name: str, file: Path, modified: float) -> Entry:
        data = file.read_bytes()
        try:
            return Entry(name, artifact.digest(data), self.check(data), modified)
        except LetheError as error:
            raise type(error)(f"profile {name} ({file.name}): {error}") from error


def _identity(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _name(file: Path) -> str:
    return file.name.removesuffix(SUFFIX)


def _changed(variant: Variant) -> UnavailableError:
    return UnavailableError(
        f"profile {variant.name}: expected digest {variant.digest[:12]} in its file, found "
        "another: it was replaced or deleted meanwhile; send the request again"
    )
