"""What the ranks of an engine report when a server starts."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lethe_projections.projector import Site
from lethe_server import compat
from lethe_server.serving import sites_of
from lethe_vllm.errors import UnavailableError
from lethe_vllm.options import Options


def client(*replies: dict[str, Any]) -> Any:
    async def collective_rpc(method: str) -> list[dict[str, Any]]:
        assert method == "lethe_status"
        return list(replies)

    return SimpleNamespace(collective_rpc=collective_rpc)


def declared(sites: str) -> frozenset[Site]:
    return Options(sites).declared(2).sites


FIRST = {"sites": ["layers.0.mlp"], "absent": {"layers.0.down_proj": "experts"}}
SECOND = {"sites": ["layers.1.mlp", "layers.1.down_proj"], "absent": {}}


def test_sites_are_those_of_all_ranks_with_what_the_model_does_not_have() -> None:
    sites, absent = asyncio.run(sites_of(client(FIRST, SECOND), declared("mlp,down_proj")))
    assert sites == {Site(0, "mlp"), Site(1, "mlp"), Site(1, "down_proj")}
    assert absent == {Site(0, "down_proj"): "experts"}


@pytest.mark.parametrize("sites", ["mlp,down_proj", "mlp:1"])
def test_a_declared_site_that_no_rank_reports_stops_the_start(sites: str) -> None:
    with pytest.raises(UnavailableError, match=r"found none for layers\.1\."):
        asyncio.run(sites_of(client(FIRST), declared(sites)))


@pytest.mark.parametrize("quantization", [None, "fp8"])
def test_an_engine_says_in_which_numbers_it_computes(quantization: str | None) -> None:
    config = SimpleNamespace(dtype=torch.bfloat16, quantization=quantization)
    found = compat.precision(SimpleNamespace(model_config=config))
    assert found == ("bfloat16", quantization)
