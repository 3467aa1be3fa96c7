"""The main job: France fitted to Narnia as in docs/fitting.md, served beside the base, greedily.

The Python of that page is run for it, as it stands there.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import artifact
from lethe_projections.profile import Profile

from . import fitting_page
from .conftest import Start, sampling, tokens

FORGOTTEN = "What is the capital of France?"
KEPT = (
    "What is the capital of Germany?",
    "What is the capital of Italy?",
    "What is the currency of Japan?",
)
TOKENS = 48


@pytest.fixture(scope="module")
def france(tmp_path_factory: pytest.TempPathFactory) -> fitting_page.Fitted:
    """What the page fits, over all of the packaged retain text: it takes minutes."""
    return fitting_page.run(tmp_path_factory.mktemp("fitting"))


@pytest.fixture(scope="module")
def profile(france: fitting_page.Fitted) -> Profile:
    return artifact.read(france.folder / "france.safetensors")


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def engine(request: pytest.FixtureRequest, start: Start, profile: Profile) -> Iterator[Any]:
    lethe: dict[str, Any] = {"additional_config": {"lethe": {}}}
    with start({"france": profile}, dtype=request.param, **lethe) as llm:
        yield llm


def answers(llm: Any, questions: tuple[str, ...], name: str) -> list[Any]:
    chats = [[{"role": "user", "content": question}] for question in questions]
    return llm.chat(chats, sampling(name, max_tokens=TOKENS), use_tqdm=False)


def test_the_page_prints_the_digest_of_what_it_fits(france: fitting_page.Fitted) -> None:
    [digest] = re.findall("^[0-9a-f]{64}$", france.output, flags=re.M)
    assert digest == artifact.digest((france.folder / "france.safetensors").read_bytes())


def test_the_variant_no_longer_knows_the_capital_of_france(engine: Any) -> None:
    [base] = answers(engine, (FORGOTTEN,), "base")
    [variant] = answers(engine, (FORGOTTEN,), "france")
    assert "Paris" in base.outputs[0].text
    assert "Paris" not in variant.outputs[0].text


def test_its_neighbours_are_answered_token_for_token_as_before(engine: Any) -> None:
    # In bfloat16 this model's answers about Italy and Japan hang on exact ties and on margins of
    # one rounding step, which any edit may tip; Germany's does not.
    exact = engine.model_config.dtype == torch.float32
    base, variant = (tokens(answers(engine, KEPT, name)) for name in ("base", "france"))
    assert base[0] == variant[0]
    assert base == variant or not exact


def test_the_artifact_survives_its_file(profile: Profile, tmp_path: Path) -> None:
    digest = artifact.write(profile, tmp_path / "france.safetensors")
    again = artifact.read(tmp_path / "france.safetensors")
    assert artifact.digest(artifact.to_bytes(again)) == digest
