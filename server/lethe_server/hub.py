"""One file of a repository of the Hugging Face Hub, whose size is known before any of it is taken.

Where the Hub does not answer, what is in its cache on this machine has to do.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lethe_vllm.errors import SelectionError, UnavailableError

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        repository: its organisation and name.
        revision: a branch, tag or commit; None for the main branch.
        file: its name in the repository; empty for the only artifact there.
    """

    repository: str
    revision: str | None
    file: str

    def one_of(self, names: Iterable[str]) -> str:
        """The name of the file that is meant.

        Raises:
            SelectionError: none of these is, or several are.
        """
        found = sorted(filter(self._is_meant, names))
        if len(found) != 1:
            raise SelectionError(
                f"source: expected one file {self.pattern} in {self.repository}, "
                f"found {', '.join(found[:5]) or 'none'}; name one: hf://ORG/NAME/FILE"
            )
        return found[0]

    @property
    def pattern(self) -> str:
        """Of the files to look at."""
        return self.file or f"*{SUFFIX}"

    @property
    def ignored(self) -> str | None:
        """A pattern of those not to look at: in folders, unless one is named."""
        return None if self.file else "*/*"

    def _is_meant(self, name: str) -> bool:
        return name == self.file if self.file else "/" not in name and name.endswith(SUFFIX)


def fetch(wanted: Wanted, check_size: Callable[[int], None]) -> Path:
    """Where the file is on this machine.

    Args:
        wanted: which.
        check_size: told how many bytes it has, before they are downloaded; raises to refuse them.

    Raises:
        SelectionError: there is no such file, or several may be meant.
        Exception: whatever `check_size` raises, and the Hub's library.
    """
    from huggingface_hub import DryRunFileInfo, hf_hub_download, snapshot_download
    from huggingface_hub.errors import DryRunError

    try:
        listed: list[DryRunFileInfo] = snapshot_download(
            wanted.repository,
            revision=wanted.revision,
            allow_patterns=wanted.pattern,
            ignore_patterns=wanted.ignored,
            dry_run=True,
        )
    except DryRunError as error:
        return _cached(wanted, error.__cause__ or error)
    files = {file.filename: file for file in listed}
    meant = files[wanted.one_of(files)]
    if meant.file_size is None:
        raise UnavailableError(
            f"source: expected the size of {meant.filename} in {wanted.repository}, found none; "
            "send the artifact's bytes"
        )
    check_size(meant.file_size)
    return Path(hf_hub_download(wanted.repository, meant.filename, revision=meant.commit_hash))


def _cached(wanted: Wanted, why: BaseException) -> Path:
    """The file in the cache; the Hub's own error where there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                wanted.repository,
                revision=wanted.revision,
                allow_patterns=wanted.pattern,
                ignore_patterns=wanted.ignored,
                local_files_only=True,
            )
        )
    except LocalEntryNotFoundError:
        raise why from None
    files = (file for file in folder.rglob("*") if file.is_file())
    return folder / wanted.one_of(file.relative_to(folder).as_posix() for file in files)
