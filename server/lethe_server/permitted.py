"""What `--source` says, in the form in which `Sources` compares it: an absolute path, or a URL."""

from pathlib import Path

from lethe_vllm.errors import UnsupportedError

_FILE = "file://"


def place(given: str) -> str:
    """One place that an artifact may be taken from.

    Raises:
        UnsupportedError: no folder of this machine, and no URL.
    """
    if "://" in given and not given.startswith(_FILE):
        return given
    path = Path(given.removeprefix(_FILE))
    if not given or not path.is_dir() or (given.startswith(_FILE) and not path.is_absolute()):
        raise UnsupportedError(
            f"--source: expected a folder that exists, as /srv/profiles or file:///srv/profiles, "
            f"or a URL, found {given[:200]!r}; make it, or correct it"
        )
    return str(path.absolute())
