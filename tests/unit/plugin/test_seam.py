"""A method of vLLM's is wrapped once, and only if it is as Lethe knows it."""

from typing import Any

import pytest

from lethe_vllm.errors import UnsupportedError
from lethe_vllm.seam import seam


class Engine:
    def add(self, request: int, wave: int = 0) -> int:
        return request + wave


def doubled(add: Any) -> Any:
    def add_twice(self: Engine, request: int, *args: Any) -> int:
        return 2 * int(add(self, request, *args))

    return add_twice


def test_a_known_method_is_wrapped_once() -> None:
    class Own(Engine):
        def add(self, request: int, wave: int = 0) -> int:
            return request + wave

    for _ in range(2):
        seam(Own, "add", "self request", doubled)
    assert Own().add(1, 2) == 6


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("gone", "self request", r"Engine\.gone\(self, request, \.\.\.\), found none"),
        ("add", "self requests", r"found self, request, wave"),
        ("add", "self request wave extra", r"found self, request, wave"),
    ],
)
def test_another_method_is_refused_and_left_alone(name: str, parameters: str, message: str) -> None:
    before = Engine.add
    with pytest.raises(UnsupportedError, match=message):
        seam(Engine, name, parameters, doubled)
    assert Engine.add is before
