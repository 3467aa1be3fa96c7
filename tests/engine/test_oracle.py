"""A served variant equals the same edit applied in transformers, in float32."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import merge
from lethe_projections.base_model import BaseModel

from .conftest import LETHE, on_path, put, running
from .oracle import check, check_base, check_variant, expected, served
from .variants import assorted, conditional

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(
    scope="module",
    params=[on_path(name, f"model runner V1, {name}") for name in ("eager", "compiled")],
)
def engine(
    request: pytest.FixtureRequest,
    checkpoint: str,
    base: BaseModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    cache: Path = tmp_path_factory.mktemp(f"vllm-{request.param}")
    eager = request.param == "eager"
    with running(checkpoint, cache, enforce_eager=eager, additional_config=LETHE) as llm:
        put(llm, assorted(base) | conditional(base))
        yield llm


KINDS = ["block", "projection", "attn", "mlp", "down"]
CONDITIONAL = ["sigmoid", "hard", "prompt", "last", "generated", "mixed"]


@pytest.mark.parametrize("name", KINDS + CONDITIONAL)
def test_a_variant_equals_the_edit_hooked_into_transformers(
    name: str, engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    profile = (assorted(base) | conditional(base))[name]
    check_variant(engine, name, profile, transformers_model)


def test_a_variant_equals_the_edit_merged_into_the_weights(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    outputs = served(engine, "merged")
    plain = expected(transformers_model, outputs)
    merged = merge.merge_(deepcopy(transformers_model), assorted(base)["merged"])
    check(outputs, expected(merged, outputs), plain)


def test_the_base_beside_variants_equals_transformers(engine: Any, transformers_model: Any) -> None:
    check_base(engine, transformers_model)
