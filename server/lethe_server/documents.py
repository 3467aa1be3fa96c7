"""What the profile routes answer."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lethe_projections.errors import LetheError
from lethe_server.described import describe
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence
from lethe_server.serving import Serving
from lethe_vllm.catalogue import Catalogue, Entry
from lethe_vllm.store.meanings import Version

logger = logging.getLogger("vllm.lethe")


Label = Annotated[str, StringConstraints(max_length=256)]


class Document(BaseModel):
    """The base of all: no field but the declared."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=describe)


class ProfileSummary(Document):
    """A profile in the list.

    Attributes:
        id: its name.
        digest: sha256 of its artifact.
        method: how it was made.
        sites: where it edits, `layers.N.HOOK`.
        rank: the largest over its sites.
        bytes: size of its factors.
        modified: Unix time in seconds at which the name got it.
        version: how often the name changed, this time included.
        pinned: whether the name refuses to be changed.
        labels: an operator's own.
        resident: whether this server process has made sure that every rank holds it.
        requests_served: POST requests answered without error by this server process.
    """

    id: str
    object: Literal["unlearning.profile"] = "unlearning.profile"
    digest: str
    method: str
    sites: list[str]
    rank: int
    bytes: int
    modified: int
    version: int
    pinned: bool
    labels: dict[str, str]
    resident: bool
    requests_served: int


class EngineDocument(Document):
    """What computes.

    Attributes:
        dtype: number format of the weights; null where it is not known.
        quantization: of the weights; null where there is none.
    """

    dtype: str | None
    quantization: str | None


class ProfileDocument(ProfileSummary):
    """A profile on its own, with where it comes from and what was measured of its digest.

    Attributes:
        base: the model that it was fitted on: architecture, dimensions, fingerprint.
        engine: what computes.
        hyperparameters: of the method.
        provenance: digests of what it was fitted on, versions of libraries.
        scopes: which tokens of a request it edits.
        gated: whether an edit has a gate.
        evidence: what `lethe eval` measured of this digest; null if nothing was attached.
    """

    base: dict[str, Any]
    engine: EngineDocument
    hyperparameters: dict[str, Any]
    provenance: dict[str, Any]
    scopes: list[str]
    gated: bool
    evidence: Evidence | None


class Source(Document):
    """Where an artifact is.

    Attributes:
        source: a path or a URL, below what `--source` permits.
    """

    source: str


class Marks(Document):
    """What to set; what is left out stays.

    Attributes:
        pinned: whether the name refuses to be changed.
        labels: all of them.
    """

    pinned: bool | None = None
    labels: dict[Annotated[str, StringConstraints(max_length=64)], Label] | None = Field(
        default=None, max_length=64
    )


class Earlier(Document):
    """Which earlier profile of a name; the one before, if neither is given.

    Attributes:
        version: its number.
        digest: the first 8 digits of its digest, or more.
    """

    version: Annotated[int, Field(ge=1)] | None = None
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.version is not None and self.digest is not None:
            raise ValueError("expected a version or a digest, found both; give one")
        return self

    @property
    def wanted(self) -> int | str | None:
        """As `Catalogue.earlier` wants it."""
        return self.version if self.version is not None else self.digest


class VersionDocument(Document):
    """What a name meant from some moment on.

    Attributes:
        version: its number.
        digest: sha256 of the artifact; null for a deletion.
        action: `put`, `rollback`, `delete` or `file`.
        source: where it was from.
        author: name of the key that changed it; empty without a policy.
        created: Unix time in seconds.
        current: whether the name means this now.
    """

    version: int
    object: Literal["unlearning.profile.version"] = "unlearning.profile.version"
    digest: str | None
    action: str
    source: str
    author: str
    created: float
    current: bool


class VersionList(Document):
    """The history of a name, the newest first.

    Attributes:
        data: every version.
    """

    object: Literal["list"] = "list"
    data: list[VersionDocument]


class LogprobsDocument(Document):
    """What the engine tells of how probable tokens are.

    Attributes:
        mode: vLLM's `--logprobs-mode`.
        top: how many likeliest tokens a request may ask for; null where it would get logits.
    """

    mode: str
    top: int | None


class ProfileList(Document):
    """OpenAI's form of a list, with what scores can be had of those in it.

    Attributes:
        data: by name.
        logprobs: what the engine tells of how probable tokens are.
    """

    object: Literal["list"] = "list"
    data: list[ProfileSummary]
    logprobs: LogprobsDocument


class Deleted(Document):
    """The answer to DELETE.

    Attributes:
        id: the name.
        deleted: always true.
    """

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
        engine=EngineDocument(dtype=serving.dtype, quantization=serving.quantization),
        hyperparameters=dict(profile.hyperparameters),
        provenance=dict(profile.provenance),
        scopes=list(profile.scopes),
        gated=profile.gated,
        evidence=_evidence(entry.digest, serving.catalogue),
    )


def history(versions: Sequence[Version]) -> VersionList:
    """The history of a name, of which the first is what it means now."""
    return VersionList(
        data=[
            VersionDocument(**asdict(one), current=place == 0) for place, one in enumerate(versions)
        ]
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
        "modified": int(entry.named.changed),
        "version": entry.named.version,
        "pinned": entry.named.pinned,
        "labels": dict(entry.named.labels),
        "resident": entry.digest in serving.front_end.resident,
        "requests_served": serving.answered[entry.digest],
    }


def _evidence(digest: str, catalogue: Catalogue) -> Evidence | None:
    try:
        data = catalogue.evidence(digest)
        return None if data is None else evidence.of(digest, data)
    except (OSError, LetheError) as error:
        logger.warning("Evidence of %s is not shown: %s", digest, error)
        return None
