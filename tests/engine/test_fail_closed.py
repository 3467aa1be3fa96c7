"""A request that names a profile is served by it or by an error, offline as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_vllm import offline
from lethe_vllm.errors import (
    SelectionError,
    UnavailableError,
    UnknownProfileError,
    UnsupportedError,
)

from .conftest import Start, put, running, sampling, tokens
from .prompts import PROMPTS
from .variants import assorted, low_rank


@pytest.fixture(scope="module")
def folder(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiles")
    artifact.write(assorted(base)["block"], folder / "block.safetensors")
    return folder


@pytest.fixture(scope="module")
def engine(start: Start, folder: Path) -> Iterator[Any]:
    lethe = {"lethe": {"sites": "block,down_proj:0-9", "profiles": str(folder)}}
    with start({}, apart=True, additional_config=lethe) as llm:
        yield llm


def ask(llm: Any, profile: str | None) -> list[list[int]]:
    wanted = sampling(profile, max_tokens=8)
    return tokens(llm.generate(list(PROMPTS[:4]), wanted, use_tqdm=False))


def test_a_profile_in_the_folder_is_served_without_a_further_call(
    engine: Any, folder: Path
) -> None:
    digest = artifact.digest((folder / "block.safetensors").read_bytes())
    assert ask(engine, "block") == ask(engine, f"block@{digest[:12]}") != ask(engine, "base")


@pytest.mark.parametrize(
    ("selection", "error"),
    [
        ("nosuch", UnknownProfileError),
        ("block@" + "0" * 12, UnknownProfileError),
        ("../block", SelectionError),
        ("Block", SelectionError),
        ("base@" + "0" * 12, SelectionError),
        ("", SelectionError),
        (7, SelectionError),
    ],
)
def test_a_selection_that_means_nothing_is_an_error(
    selection: Any, error: type[Exception], engine: Any
) -> None:
    with pytest.raises(error, match="expected"):
        ask(engine, selection)
    assert ask(engine, "base") == ask(engine, None)


def test_a_profile_at_undeclared_sites_is_refused_and_forgotten(
    engine: Any, base: BaseModel, folder: Path
) -> None:
    late = low_rank(base, "down_proj", (20,), rank=2, scale=0.1, seed=9)
    with pytest.raises(UnavailableError, match=r"layers\.20\.down_proj"):
        put(engine, {"late": late})
    with pytest.raises(UnknownProfileError, match="late"):
        ask(engine, "late")
    artifact.write(late, folder / "late.safetensors")
    with pytest.raises(UnavailableError, match=r"layers\.20\.down_proj"):
        ask(engine, "late")
    offline.delete_profile(engine, "late")


def test_a_refused_replacement_leaves_the_previous_profile_serving(
    engine: Any, base: BaseModel
) -> None:
    before = ask(engine, "block")
    with pytest.raises(UnavailableError, match=r"layers\.20\.down_proj"):
        put(engine, {"block": low_rank(base, "down_proj", (20,), rank=2, scale=0.1, seed=9)})
    assert ask(engine, "block") == before != ask(engine, "base")


def test_replacing_and_deleting_take_effect_on_the_next_request(
    engine: Any, base: BaseModel
) -> None:
    put(engine, {"swap": low_rank(base, "block", (10,), rank=2, scale=0.1, seed=10)})
    first = ask(engine, "swap")
    put(engine, {"swap": low_rank(base, "block", (10,), rank=2, scale=0.1, seed=11)})
    second = ask(engine, "swap")
    assert first != second != ask(engine, "base")
    offline.delete_profile(engine, "swap")
    with pytest.raises(UnknownProfileError, match="swap"):
        ask(engine, "swap")
    assert ask(engine, "block") != ask(engine, "base")


def test_a_worker_refuses_bytes_that_are_not_the_digest(engine: Any, base: BaseModel) -> None:
    data = artifact.to_bytes(assorted(base)["block"])
    with pytest.raises(Exception, match="expected the artifact"):
        engine.llm_engine.collective_rpc("lethe_load", args=("0" * 64, data))


def test_every_declared_site_runs_in_a_step(engine: Any) -> None:
    [status] = engine.llm_engine.collective_rpc("lethe_status")
    assert len(status["sites"]) == 30 + 10


def test_options_with_a_mistake_stop_the_start(checkpoint: str, tmp_path: Path) -> None:
    with (
        pytest.raises(UnsupportedError, match="expected HOOK"),
        running(checkpoint, tmp_path, additional_config={"lethe": {"sites": "blocks"}}),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"worker_extension_cls": "x.Y"}, "worker extension"),
        ({"kv_sharing_fast_prefill": True}, "fast prefill"),
        (
            {"kv_transfer_config": {"kv_connector": "ExampleConnector", "kv_role": "kv_both"}},
            "KV transfer",
        ),
    ],
)  # fmt: skip
def test_a_feature_that_variants_are_not_verified_under_stops_the_start(
    options: dict[str, Any], reason: str, checkpoint: str, tmp_path: Path
) -> None:
    lethe = {"additional_config": {"lethe": {}}}
    with (
        pytest.raises(UnsupportedError, match=reason),
        running(checkpoint, tmp_path, **lethe, **options),
    ):
        pass
