"""The document that says what was measured of one profile: its schema, and how it is written.

It belongs to a digest, not to a name. Knows nothing of how the numbers came about.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lethe_projections import strict_json
from lethe_projections.errors import ArtifactError
from lethe_server.described import describe
from lethe_server.evaluating.split import Split
from lethe_vllm.catalogue import EVIDENCE

MAX_BYTES = 256 * 1024
"""Of a document; one of three suites has some 30 KB."""

Text = Annotated[str, StringConstraints(max_length=512)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Document(BaseModel):
    """The base of all: no field but the declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=describe)


class Measure(Document):
    """One number, and what it takes to judge it.

    Attributes:
        name: what it is called.
        formula: what it is.
        value: itself, of the variant.
        interval: 95 %, by bootstrap, but exact where a share is 0 or 1; null with too few subjects,
            or texts.
        n: prompts, or tokens, that it is of.
        clusters: subjects, or texts, that the bootstrap draws.
        base: the same of the base.
        never_known: the same, on facts that do not exist; what is reached without knowledge.
        asked: how many prompts were asked, of which the base recovers `n`; null where `n` is not
            what the base recovers.
    """

    name: Text
    formula: Text
    value: Number
    interval: tuple[Number, Number] | None = None
    n: int
    clusters: int
    base: Number | None = None
    never_known: Number | None = None
    asked: int | None = None


class Headline(Document):
    """What stands first.

    Attributes:
        worst_form: the form that brings up most of what should be forgotten.
        recovered: the share that it brings up, of what the base knows, chance taken off.
        neighbours: share of the neighbours that is kept, in all forms but those with options;
            null if the base knows none.
        unrelated: share of unrelated facts that is kept; the same.
    """

    worst_form: Text
    recovered: Number
    neighbours: Number | None
    unrelated: Number | None


class SuiteEvidence(Document):
    """What one suite shows.

    Attributes:
        name, version: of the suite.
        sha256: of its file.
        subjects_sha256: of the subjects that should be forgotten, where they were chosen, sorted,
            one a line; null where they are the suite's.
        facts: how many, by set.
        prompts: how many of each of base and variant.
        headline: what stands first.
        forget: what is still recovered, form by form, the worst first.
        neighbour, unrelated: what is kept, form by form, the worst first.
        measures: further ones.
    """

    name: Text
    version: Text
    sha256: Sha256
    subjects_sha256: Sha256 | None
    facts: dict[str, int]
    prompts: int
    headline: Headline
    forget: Annotated[list[Measure], Field(max_length=64)]
    neighbour: Annotated[list[Measure], Field(max_length=64)]
    unrelated: Annotated[list[Measure], Field(max_length=64)]
    measures: Annotated[list[Measure], Field(max_length=64)]


class RetainEvidence(Document):
    """What text shows that should not change.

    Attributes:
        sha256: of the texts.
        texts: how many.
        measures: divergence and perplexity.
    """

    sha256: Sha256
    texts: int
    measures: Annotated[list[Measure], Field(max_length=16)]


class Evidence(Document):
    """What was measured of one profile.

    Attributes:
        evidence: version of this schema.
        digest: sha256 of the profile's artifact.
        method: how it was fitted, as the artifact says.
        model: fingerprint of the base model.
        by: through a server, or in process.
        engine: what computed, with its version.
        dtype: of the base's weights; null where it is not known.
        split: which subjects.
        max_tokens: of an answer.
        suites: each on its own.
        retain: null where no text was read.
        left_out: what was not measured, and why.
    """

    evidence: Literal[1] = 1
    digest: Sha256
    method: Text
    model: Sha256
    by: Literal["http", "offline"]
    engine: Text
    dtype: Text | None
    split: Split
    max_tokens: int
    suites: Annotated[list[SuiteEvidence], Field(min_length=1, max_length=32)]
    retain: RetainEvidence | None
    left_out: Annotated[list[Text], Field(max_length=16)] = []


def parse(data: bytes) -> Evidence:
    """Reads a document.

    Raises:
        ArtifactError: it is none.
    """
    if len(data) > MAX_BYTES:
        raise ArtifactError(
            f"evidence: expected at most {MAX_BYTES} bytes, found {len(data)}; write it with "
            "'lethe eval'"
        )
    try:
        return Evidence.model_validate(strict_json.loads(data))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        found = f"{error.error_count()} mistake(s), the first at {where}"
        raise _no_evidence(f"{found}: {error.errors()[0]['msg']}") from error
    except ValueError as error:
        raise _no_evidence(str(error)) from error


def of(digest: str, data: bytes) -> Evidence:
    """Reads the document of one profile.

    Raises:
        ArtifactError: it is none, or another profile's.
    """
    found = parse(data)
    if found.digest != digest:
        raise ArtifactError(
            f"evidence: expected that of {digest[:12]}, found that of {found.digest[:12]}; "
            "remove it"
        )
    return found


def to_bytes(found: Evidence) -> bytes:
    """The document as a file: the same for the same."""
    return json.dumps(found.model_dump(mode="json"), indent=1, sort_keys=True).encode() + b"\n"


def file_name(digest: str) -> str:
    """What the file of a profile's evidence is called."""
    return f"{digest}{EVIDENCE}"


def headlines(found: Evidence) -> dict[str, Any]:
    """What stands first, of every suite."""
    suites = {one.name: one.headline.model_dump() for one in found.suites}
    retain = [] if found.retain is None else found.retain.measures
    measures = {one.name: one.value for one in retain}
    return {"digest": found.digest, "split": found.split, "suites": suites, "retain": measures}


def _no_evidence(found: str) -> ArtifactError:
    return ArtifactError(
        f"evidence: expected a document as 'lethe eval' writes it, found {found:.300}; write it "
        "again"
    )
