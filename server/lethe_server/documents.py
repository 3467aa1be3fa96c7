"""What the profile routes answer."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lethe_projections import strict_json
from lethe_server.serving import Serving
from lethe_vllm.catalogue import Entry

logger = logging.getLogger("vllm.lethe")


class Document(BaseModel):
    """The base of all: no field but the declared."""

    model_config = ConfigDict(extra="forbid")


class ProfileSummary(Document):
    """A profile in the list.

    Attributes:
        id: its name.
        digest: sha256 of its artifact.
        method: how it was made.
        sites: where it edits, `layers.N.HOOK`.
        rank: the largest over its sites.
        bytes: size of its factors.
        modified: Unix time in seconds at which it got this name.
        resident: whether this server process has made sure that every rank holds it.
        requests_served: POST requests answered without error by this server process.
        evidence: what was measured of this digest, if anything.
    """

    id: str
    object: Literal["unlearning.profile"] = "unlearning.profile"
    digest: str
    method: str
    sites: list[str]
    rank: int
    bytes: int
    modified: int
    resident: bool
    requests_served: int
    evidence: dict[str, Any] | None


class ProfileDocument(ProfileSummary):
    """A profile on its own, with where it comes from."""

    base: dict[str, Any]
    hyperparameters: dict[str, Any]
    provenance: dict[str, Any]
    scopes: list[str]
    gated: bool


class ProfileList(Document):
    """OpenAI's form of a list."""

    object: Literal["list"] = "list"
    data: list[ProfileSummary]


class Deleted(Document):
    """The answer to DELETE."""

    id: str
    object: Literal["unlearning.profile"] = "unlearning.profile"
    deleted: Literal[True] = True


def summary(entry: Entry, serving: Serving) -> ProfileSummary:
    """An entry of the list. Reads the evidence file: call it in a thread."""
    return ProfileSummary(**_summary(entry, serving))


def document(entry: Entry, serving: Serving) -> ProfileDocument:
    """The whole. Reads the evidence file: call it in a thread."""
    profile = entry.profile
    return ProfileDocument(
        **_summary(entry, serving),
        base=asdict(profile.base),
        hyperparameters=dict(profile.hyperparameters),
        provenance=dict(profile.provenance),
        scopes=list(profile.scopes),
        gated=profile.gated,
    )


def _summary(entry: Entry, serving: Serving) -> dict[str, Any]:
    profile = entry.profile
    return {
        "id": entry.name,
        "digest": entry.digest,
        "method": profile.method,
        "sites": [str(site) for site in profile.sites],
        "rank": profile.rank,
        "bytes": profile.nbytes,
        "modified": int(entry.modified),
        "resident": entry.digest in serving.front_end.resident,
        "requests_served": serving.answered[entry.digest],
        "evidence": _evidence(serving.catalogue.folder / f"{entry.digest}.evidence.json"),
    }


def _evidence(file: Path) -> dict[str, Any] | None:
    try:
        found = strict_json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        logger.warning("%s: expected JSON, found %s; write it again", file.name, error)
        return None
    return found if isinstance(found, dict) else None
