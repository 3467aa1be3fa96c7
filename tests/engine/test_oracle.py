"""A served variant equals the same edit applied in transformers, in float32."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from lethe_projections import merge
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile

from .conftest import Start, Subject, on_path
from .oracle import check, check_base, check_variant, expected, served
from .variants import assorted, conditional

pytestmark = pytest.mark.timeout(900)


MODELS = {"eager": "whole", "compiled": "shallow"}


@pytest.fixture(
    scope="module",
    params=[on_path(name, f"model runner V1, {name}") for name in MODELS],
)
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(MODELS[request.param])
    return found


@pytest.fixture(scope="module")
def engine(subject: Subject, whole: Subject, start: Start) -> Iterator[Any]:
    with start(variants(subject.base), subject.checkpoint, enforce_eager=subject is whole) as llm:
        yield llm


def variants(base: BaseModel) -> dict[str, Profile]:
    return assorted(base) | conditional(base)


KINDS = ["block", "projection", "attn", "mlp", "down"]
CONDITIONAL = ["sigmoid", "hard", "prompt", "last", "generated", "mixed"]


@pytest.mark.parametrize("name", KINDS + CONDITIONAL)
def test_a_variant_equals_the_edit_hooked_into_transformers(
    name: str, engine: Any, subject: Subject
) -> None:
    check_variant(engine, name, variants(subject.base)[name], subject.reference)


def test_a_variant_equals_the_edit_merged_into_the_weights(engine: Any, subject: Subject) -> None:
    outputs = served(engine, "merged")
    plain = expected(subject.reference, outputs)
    merged = merge.merge_(deepcopy(subject.reference), variants(subject.base)["merged"])
    check(outputs, expected(merged, outputs), plain)


def test_the_base_beside_variants_equals_transformers(engine: Any, subject: Subject) -> None:
    check_base(engine, subject.reference)
