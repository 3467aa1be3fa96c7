"""Brings evidence to where a profile is: to a server, or beside its file."""

from pathlib import Path
from urllib.parse import quote

from lethe_projections import durable
from lethe_projections.errors import ArtifactError
from lethe_server.client import Client
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence


def upload(client: Client, profile: str, found: Evidence) -> None:
    """Gives it to a server.

    Raises:
        ServerError: it does not take it; the profile has another digest by now, say.
    """
    path = f"/v1/unlearning/profiles/{quote(profile, safe='')}/evidence"
    client.put(path, found.model_dump(mode="json"))


def put_beside(artifact: Path, found: Evidence) -> Path:
    """Writes it beside a profile's file, where a server of that folder finds it.

    Raises:
        OSError: the folder cannot be written.
    """
    file = artifact.parent / evidence.file_name(found.digest)
    durable.write(file, evidence.to_bytes(found))
    return file


def beside(artifact: Path, digest: str) -> Evidence | None:
    """What lies beside a profile's file, if anything.

    Raises:
        ArtifactError: it is no evidence, or that of another profile.
    """
    file = artifact.parent / evidence.file_name(digest)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return evidence.of(digest, data)
    except ArtifactError as error:
        raise ArtifactError(f"{file}: {error}") from error
