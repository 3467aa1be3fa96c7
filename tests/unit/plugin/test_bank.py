"""What a worker's bank counts of its profiles."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from lethe_projections import artifact
from lethe_projections.projector import Site
from lethe_vllm.bank import FactorBank
from lethe_vllm.placement import Placement
from lethe_vllm.torch_backend import TorchBackend

from .test_catalogue import data


@pytest.fixture
def bank() -> Iterator[FactorBank]:
    place = Placement(torch.float32, torch.device("cpu"))
    found = FactorBank(place, TorchBackend(place, 1 << 20))
    yield found
    found.begin(None)


def hold(bank: FactorBank, seed: int) -> int:
    name = str(seed)
    bank.register(name, artifact.from_bytes(data(seed)).projectors)
    bank.hold(name)
    return max(bank.slots(name))


def test_tokens_are_counted_by_profile_until_it_is_unloaded(bank: FactorBank) -> None:
    first, second = hold(bank, 1), hold(bank, 2)
    for tokens in ([first, -1, first], [second, first, -1]):
        bank.begin(np.array(tokens))
    site = Site(0, "block")
    assert bank.edited == {("1", site): 3, ("2", site): 1}
    bank.drop("1")
    assert bank.edited == {("1", site): 3, ("2", site): 1}, "it is still registered"
    bank.unregister("1")
    assert bank.edited == {("2", site): 1}


def test_bytes_are_those_of_the_edits_in_the_type_they_are_kept_in() -> None:
    place = Placement(torch.bfloat16, torch.device("cpu"))
    bank = FactorBank(place, TorchBackend(place, 1 << 20))
    projectors = artifact.from_bytes(data(1)).projectors
    size = sum(4 * (one.A.numel() + one.B.numel()) for one in projectors)
    for name in "ab":
        bank.register(name, projectors)
    assert (bank.registered_bytes, bank.held_bytes) == (2 * size, 0)
    bank.hold("a")
    assert (bank.registered_bytes, bank.held_bytes) == (2 * size, size // 2)
    bank.unregister("a")
    assert (bank.registered_bytes, bank.held_bytes) == (size, 0)
