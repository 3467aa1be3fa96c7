"""The document that says how a profile withstood an attack: its schema, and how it is written.

One schema for every kind, so that a reader, or a plot, needs to know none of them: curves over an
axis. It belongs to a digest. Knows nothing of how the numbers came about.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from lethe_projections import strict_json
from lethe_projections.errors import ArtifactError
from lethe_server.evaluating.evidence import Document, Number, Sha256, Text
from lethe_server.evaluating.split import Split

MOST_POINTS = 256
"""Of a curve."""

Setting = str | int | float | bool | None


class Kind(StrEnum):
    """What was tried."""

    RELEARNING = "relearning"
    PROBING = "probing"
    QUANTISATION = "quantisation"
    REQUESTS = "requests"


MEANING: Mapping[Kind, str] = {
    Kind.RELEARNING: "trained on a part of what should be forgotten, with the edit attached, and "
    "asked about the other part",
    Kind.PROBING: "read from hidden states, block by block, with a linear map",
    Kind.QUANTISATION: "the same edit on a base of fewer bits",
    Kind.REQUESTS: "asked about every request so far, after each further one",
}


class Point(Document):
    """One value of a curve.

    Attributes:
        at: where on the axis: steps, a block, bits, how many requests.
        value: the measure there.
        interval: 95 %, as an evaluation's; null with too few.
        n: prompts, or tokens, that it is of.
        clusters: subjects, or texts, that the interval is over.
    """

    at: Number
    value: Number
    interval: tuple[Number, Number] | None = None
    n: int
    clusters: int


class Curve(Document):
    """A measure along the axis.

    Attributes:
        name: of what, `held-out part of forget`.
        control: whether it shows what is reached without knowledge, or without the edit.
        formula: what the measure is.
        points: by rising `at`.
    """

    name: Text
    control: bool = False
    formula: Text
    points: Annotated[list[Point], Field(min_length=1, max_length=MOST_POINTS)]


class SuiteUsed(Document):
    """Whose facts were asked: name, version, and sha256 of the file."""

    name: Text
    version: Text
    sha256: Sha256


class Attack(Document):
    """How a profile withstood an attack.

    Attributes:
        attack: version of this schema.
        kind: what was tried.
        digest: sha256 of the profile's artifact; of the last, for requests.
        method: how the profile was fitted.
        model: fingerprint of the base model.
        engine: what computed, with its version.
        dtype: of the base's weights.
        split: which subjects.
        suites: whose facts.
        settings: all it takes to do it again: seeds, steps, shares.
        axis: what `at` counts, `training steps`.
        curves: what came out; the first is the one to look at.
        marks: places on the axis with a meaning, `{"edited after": 4}`.
    """

    attack: Literal[1] = 1
    kind: Kind
    digest: Sha256
    method: Text
    model: Sha256
    engine: Text
    dtype: Text
    split: Split
    suites: Annotated[list[SuiteUsed], Field(min_length=1, max_length=32)]
    settings: dict[Text, Setting]
    axis: Text
    curves: Annotated[list[Curve], Field(min_length=1, max_length=64)]
    marks: dict[Text, Number] = Field(default_factory=dict)


def parse(data: bytes) -> Attack:
    """Reads a document.

    Raises:
        ArtifactError: it is none.
    """
    try:
        return Attack.model_validate(strict_json.loads(data))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _no_attack(
            f"{error.error_count()} mistake(s), the first at {where}: {first['msg']}"
        ) from error
    except ValueError as error:
        raise _no_attack(str(error)) from error


def to_bytes(found: Attack) -> bytes:
    """The document as a file: the same for the same."""
    return json.dumps(found.model_dump(mode="json"), indent=1, sort_keys=True).encode() + b"\n"


def file_name(digest: str, kind: Kind) -> str:
    """What the file of an attack on a profile is called."""
    return f"{digest}.{kind}.json"


def _no_attack(found: str) -> ArtifactError:
    return ArtifactError(
        f"attack: expected a document as 'lethe attack' writes it, found {found:.300}; run it again"
    )
