"""A front end's first load proves that steps reach the sites, where no server did at its start."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import UnavailableError
from lethe_vllm.frontend import FrontEnd
from lethe_vllm.selection import Variant

from .test_catalogue import BASE, data


class Rpc:
    """An engine's end of `collective_rpc`, whose sites are reached or not."""

    def __init__(self, reached: bool = True) -> None:
        self.reached = reached
        self.calls: list[str] = []

    def __call__(self, method: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        self.calls.append(method)
        if method == "lethe_status" and not self.reached:
            raise RuntimeError("canary: expected every installed site to run in a step")
        return [{"digest": args[0]} if args else {}]


def load(front_end: FrontEnd, rpc: Rpc, seed: int, asynchronous: bool) -> None:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return rpc(*args, **kwargs)

    one = data(seed)
    variant = Variant("france", artifact.digest(one))
    if asynchronous:
        asyncio.run(front_end.load_data_async(variant, one, call))
    else:
        front_end.load_data(variant, one, rpc)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_steps_are_seen_to_reach_the_sites_before_the_first_load(
    tmp_path: Path, asynchronous: bool
) -> None:
    front_end, rpc = FrontEnd(Catalogue(tmp_path, BASE)), Rpc(reached=False)
    with pytest.raises(UnavailableError, match="every installed site"):
        load(front_end, rpc, 1, asynchronous)
    assert front_end.resident == set()
    rpc.reached = True
    for seed in (1, 2):
        load(front_end, rpc, seed, asynchronous)
    assert rpc.calls == ["lethe_status", "lethe_status", "lethe_load", "lethe_load"]


def test_a_file_replaced_by_hand_is_unloaded(tmp_path: Path) -> None:
    front_end, rpc = FrontEnd(Catalogue(tmp_path, BASE)), Rpc()
    file = tmp_path / "france.safetensors"
    for seed in (1, 2):
        file.write_bytes(data(seed))
        front_end.load(front_end.variant_of({"unlearning_profile": "france"}), rpc)
    assert rpc.calls[1:] == ["lethe_load", "lethe_unload", "lethe_load"]
    assert front_end.resident == {artifact.digest(data(2))}
