"""Which names vLLM is told are served, and what an answer calls its model."""

import pytest

from lethe_projections import artifact
from lethe_server import models
from lethe_vllm.selection import BASE_VARIANT, Variant, current

from .fakes import Server, make

FRANCE = Variant("france", artifact.digest(make(1)))


@pytest.mark.parametrize(
    ("model", "variant", "expected"),
    [
        ("smollm2:france", FRANCE, True),
        (f"smollm2:france@{FRANCE.digest[:8]}", FRANCE, True),
        ("smollm2:france@00000000", FRANCE, False),
        ("smollm2:base", BASE_VARIANT, True),
        ("smollm2:france", BASE_VARIANT, False),
        ("smollm2:france", None, False),
        ("smollm2:japan", FRANCE, False),
        ("smollm2:", FRANCE, False),
        ("other:france", FRANCE, False),
    ],
)
def test_only_the_variant_that_serves_the_request_is_known(
    server: Server, model: str, variant: Variant | None, expected: bool
) -> None:
    token = current.set(variant)
    try:
        assert models.is_variant(model, server.serving) is expected
    finally:
        current.reset(token)


def test_an_answer_is_called_by_its_variant() -> None:
    assert models.answering("smollm2") == "smollm2"
    token = current.set(FRANCE)
    try:
        assert models.answering("smollm2") == "smollm2:france"
    finally:
        current.reset(token)


def test_every_profile_is_listed_with_its_parent(server: Server) -> None:
    server.serving.catalogue.put("france", make(1))
    assert models.variants(server.serving) == [
        {"id": "smollm2:france", "parent": "smollm2", "unlearning_digest": FRANCE.digest}
    ]
