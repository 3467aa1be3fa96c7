"""Named profiles for one base model. Knows nothing of the engine.

Puts the store's parts together: a name's digest from the database, the object of that digest,
validated once. What a name means is looked up for every request, so all that share a store agree.
"""

import logging
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from lethe_projections import artifact, base_model, durable
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError, IncompatibleError, LetheError
from lethe_projections.profile import Profile
from lethe_vllm.errors import UnavailableError, UnknownProfileError
from lethe_vllm.selection import Part, Selection, Variant, check_name
from lethe_vllm.store.database import open_database
from lethe_vllm.store.drop_ins import DropIns
from lethe_vllm.store.meanings import DELETE, Change, Named, Version, unknown
from lethe_vllm.store.names import Names
from lethe_vllm.store.objects import Objects
from lethe_vllm.store.place import Place

logger = logging.getLogger("vllm.lethe")

EVIDENCE = ".evidence.json"
"""What lies beside an artifact ends in this, after the artifact's digest."""


@dataclass(frozen=True)
class Entry:
    """A profile under its name, validated against the base model.

    Attributes:
        named: its name, and what that means now.
        profile: its contents.
    """

    named: Named
    profile: Profile

    @property
    def name(self) -> str:
        """What requests call it."""
        return self.named.name

    @property
    def digest(self) -> str:
        """The sha256 of its artifact."""
        return self.named.digest or ""

    @property
    def variant(self) -> Variant:
        """What serves a request for it."""
        return Variant(self.name, self.digest)


class Catalogue:
    """Profiles by name, for one base model; for any thread.

    Attributes:
        base: the model they must be for.
        names: what each means.
        objects: the artifacts.
        database: where names are, and what else is kept with them.
    """

    def __init__(self, place: Place | Path | None, base: BaseModel) -> None:
        """Opens a store, which is made if missing.

        Args:
            place: where; a folder of profiles alone; or None for a private, empty one.
            base: the model.

        Raises:
            LetheError: it cannot be opened, or a file in the folder of profiles is not a valid
                profile for `base`, or its name could not be requested.
        """
        self._private = tempfile.TemporaryDirectory(prefix="lethe-") if place is None else None
        if not isinstance(place, Place):
            place = Place.of(Path(self._private.name) if self._private else place, None, None)
        self.base = base
        self.folder = place.drop_ins
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.objects = Objects(place.objects)
        self.database = open_database(place.database)
        self.names = Names(self.database, base.fingerprint)
        self._profiles: dict[str, Profile] = {}
        # The last object: who asks for a profile's contents first mostly loads it next.
        self._read = "", b""
        self._reading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._drop_ins = None if self.folder is None else self._opened(self.folder)

    def listed(self) -> list[str]:
        """Every name, sorted."""
        if self._drop_ins is not None:
            for error in self._drop_ins.look_at_all():
                logger.warning("Left out of the list: %s", error)
        return list(self.names.all())

    def entry(self, name: str) -> Entry:
        """The profile that a name means now.

        Raises:
            UnknownProfileError: there is none.
            LetheError: its artifact is damaged, or the store does not answer.
        """
        return self.entry_of(self._named(name))

    def entry_of(self, named: Named) -> Entry:
        """The profile of a name as it was looked up before.

        Raises:
            LetheError: its artifact is damaged.
        """
        return Entry(named, self._profile(named.name, named.digest or ""))

    def find(self, selection: Selection) -> tuple[Entry, ...]:
        """The profiles that a selection means now, sorted by name; () for the base.

        Raises:
            UnknownProfileError: no such name, or it has another digest.
            LetheError: as `entry`.
        """
        return () if selection.is_base else tuple(map(self._find, selection.parts))

    def find_at_once(self, selection: Selection) -> tuple[Entry, ...] | None:
        """As `find`, where that waits for nothing; None otherwise, and where it is an error."""
        found = [self._at_once(part) for part in selection.parts]
        entries = tuple(entry for entry in found if entry is not None)
        return entries if len(entries) == len(found) else None

    def take_replaced(self) -> list[str]:
        """Digests that no name has any more, since another process or a file changed that.

        Each is told once.
        """
        replaced = self.names.take_replaced()
        named = self._forget_unnamed() if replaced else set()
        return [digest for digest in replaced if digest not in named]

    def holds(self, digest: str) -> bool:
        """Whether some name has this digest."""
        return self.names.holds(digest)

    def profile(self, variant: Variant) -> Profile:
        """The contents of a single profile, also if its name means something else by now.

        Raises:
            LetheError: as `entry`.
        """
        return self._profile(variant.name, variant.digest)

    def kept(self, digest: str) -> Profile | None:
        """The contents of a single profile that is in memory; None otherwise."""
        return self._profiles.get(digest)

    def data(self, variant: Variant) -> bytes:
        """The artifact of a single profile, also if its name means something else by now.

        Raises:
            UnavailableError: it is gone or damaged.
        """
        digest, data = self._read
        if digest == variant.digest:
            self._read = "", b""
            return data
        return self.objects.get(variant.digest)

    def check(self, data: bytes) -> Profile:
        """Validates an artifact against the format and the base model.

        Raises:
            ArtifactError: malformed.
            IncompatibleError: for another model.
        """
        profile = artifact.from_bytes(data)
        base_model.check(profile.base, self.base)
        return profile

    def put(
        self, name: str, data: bytes, checked: Profile | None = None, change: Change | None = None
    ) -> Entry:
        """Gives a name a profile, in one step.

        Args:
            name: what requests will call it.
            data: the artifact.
            checked: what `check` made of it, if it has.
            change: how the history shall describe it.

        Raises:
            LetheError: it is not a valid profile for the base model, or the name is pinned;
                nothing is changed.
        """
        check_name(name)
        profile = checked or self.check(data)
        digest = self.objects.put(data)
        # Before the name says so, or a request could find the name and have to read it.
        self._profiles[digest] = profile
        named = self.names.change(name, change or Change(digest))
        self._forget_unnamed()
        return Entry(named, profile)

    def delete(self, name: str, author: str = "") -> Variant:
        """Takes a name's meaning away; returns what it was. Its history stays.

        Raises:
            UnknownProfileError: it means nothing.
            ConflictError: it is pinned.
        """
        check_name(name)
        dismissed = self._dismissed(name)
        named = self.names.find(name)
        if named is not None:
            self.names.change(name, Change(None, DELETE, author=author))
            self._forget_unnamed()
            return Variant(name, named.digest or "")
        if dismissed is not None:
            return Variant(name, artifact.digest(dismissed))
        raise unknown(name, self.names.all())

    def now(self, name: str) -> Named | None:
        """What a name means now, its file looked at first; None if it means nothing.

        Raises:
            UnavailableError: the store does not answer.
        """
        check_name(name)
        if self._drop_ins is not None:
            try:
                self._drop_ins.look(name)
            except (ArtifactError, IncompatibleError) as error:
                logger.warning("Not taken in: %s", error)
        return self.names.find(name)

    def history(self, name: str) -> list[Version]:
        """Everything that a name meant, the newest first; [] if it never meant anything.

        Raises:
            UnavailableError: the store does not answer.
        """
        self.now(name)
        return self.names.history(name)

    def earlier(self, name: str, wanted: int | str | None = None) -> Version:
        """A version that a name had before.

        Args:
            name: which.
            wanted: its number, the start of its digest, or None for the last other profile.

        Raises:
            UnknownProfileError: there is no such version.
        """
        history = self.history(name)
        now = history[0].digest if history else None
        for version in history:
            if version.digest is not None and _is_wanted(version, wanted, now):
                return version
        found = [f"{v.version} ({(v.digest or v.action)[:12]})" for v in history[:8]]
        raise UnknownProfileError(
            f"profile {name}: expected an earlier version{f' {wanted}' if wanted else ''}, found "
            f"{', '.join(found) or 'none'}; choose one of these that is not deleted"
        )

    def evidence(self, digest: str) -> bytes | None:
        """What was measured of a profile, as it lies beside the artifact or the files."""
        file = self._evidence_file(digest)
        if file is not None:
            return file.read_bytes()
        return self.objects.beside(digest, EVIDENCE)

    def put_evidence(self, digest: str, data: bytes) -> None:
        """Keeps what was measured of a profile, in place of what `evidence` gave before.

        Raises:
            UnavailableError: it could not be written.
            OSError: nor could the file among the folder's files that goes before it.
        """
        self.objects.put_beside(digest, EVIDENCE, data)
        file = self._evidence_file(digest)
        if file is not None:
            durable.write(file, data)

    def _evidence_file(self, digest: str) -> Path | None:
        """The one that lies beside the folder's files, if there is one; it goes first."""
        file = None if self.folder is None else self.folder / f"{digest}{EVIDENCE}"
        return file if file is not None and file.is_file() else None

    def _opened(self, folder: Path) -> DropIns:
        found = DropIns(folder, self.names, self._kept)
        for name in found.unnamed():
            check_name(name)
        for error in found.look_at_all():
            raise error
        return found

    def _kept(self, data: bytes) -> str:
        self.check(data)
        return self.objects.put(data)

    def _named(self, name: str) -> Named:
        check_name(name)
        if self._drop_ins is not None:
            self._drop_ins.look(name)
        named = self.names.find(name)
        if named is None:
            raise unknown(name, self.names.all())
        return named

    def _find(self, part: Part) -> Entry:
        entry = self.entry(part.name)
        if part.digest is not None and not entry.digest.startswith(part.digest):
            raise UnknownProfileError(
                f"profile {part.name}: expected digest {part.digest}, found "
                f"{entry.digest}; it was replaced: ask for the new digest, or for the name alone"
            )
        return entry

    def _at_once(self, part: Part) -> Entry | None:
        if self._drop_ins is not None and not self._drop_ins.is_seen(part.name):
            return None
        named = self.names.at_once(part.name)
        digest = "" if named is None else named.digest or ""
        profile = self._profiles.get(digest)
        if named is None or profile is None or not digest.startswith(part.digest or ""):
            return None
        return Entry(named, profile)

    def _profile(self, name: str, digest: str) -> Profile:
        found = self._profiles.get(digest)
        if found is not None:
            return found
        # Many first requests read it once.
        with self._reading[digest]:
            if digest not in self._profiles:
                try:
                    data = self.objects.get(digest)
                    self._profiles[digest] = self.check(data)
                    self._read = digest, data
                except LetheError as error:
                    raise type(error)(f"profile {name}: {error}") from error
            return self._profiles[digest]

    def _dismissed(self, name: str) -> bytes | None:
        """The file of a name, if it is no profile; it is not looked at again until it changes."""
        if self._drop_ins is None:
            return None
        try:
            self._drop_ins.look(name)
        except (ArtifactError, IncompatibleError):
            return self._drop_ins.dismiss(name)
        return None

    def _forget_unnamed(self) -> set[str]:
        """Keeps in memory what some name means, which it returns; the rest can be read again.

        What needed this is done already, so a database that fails now fails nothing.
        """
        try:
            named = {one.digest or "" for one in self.names.all().values()}
        except UnavailableError as error:
            logger.warning("Profiles without a name stay in memory for now: %s", error)
            return set()
        for digest in [digest for digest in list(self._profiles) if digest not in named]:
            self._profiles.pop(digest, None)
            self._reading.pop(digest, None)
        return named


def _is_wanted(version: Version, wanted: int | str | None, now: str | None) -> bool:
    if wanted is None:
        return version.digest != now
    if isinstance(wanted, int):
        return version.version == wanted
    return (version.digest or "").startswith(wanted)
