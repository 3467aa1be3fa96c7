"""Where requests do not wait for room: which of several engines serves one, or that none does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import UnavailableError
from lethe_vllm.frontend import FrontEnd
from lethe_vllm.options import REFUSE, WAIT
from lethe_vllm.selection import BASE_VARIANT, Variant

BASE = BaseModel("LlamaForCausalLM", 8, 4, 16, 32, "ab" * 32)
FRANCE = Variant("france", "0" * 64)


def chosen(
    folder: Path,
    *room: bool,
    asked: int | None = None,
    when_full: str = REFUSE,
    variant: Variant = FRANCE,
    times: int = 1,
) -> list[int | None]:
    async def everyone(method: str, *args: Any) -> list[list[bool]]:
        assert (method, args) == ("lethe_reserve", (FRANCE.digest,))
        return [[has] for has in room]

    front_end = FrontEnd(Catalogue(folder, BASE), when_full)
    return [asyncio.run(front_end.engine_for(variant, everyone, asked)) for _ in range(times)]


def test_where_every_engine_has_room_any_may_serve(tmp_path: Path) -> None:
    assert chosen(tmp_path, True, True) == [None]
    assert chosen(tmp_path, True) == [None]


def test_those_that_have_room_serve_in_turn(tmp_path: Path) -> None:
    assert chosen(tmp_path, False, True, True, times=4) == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("room", "asked"), [((False,), None), ((False, False), None), ((True, False), 1)]
)
def test_without_room_it_is_refused(
    tmp_path: Path, room: tuple[bool, ...], asked: int | None
) -> None:
    with pytest.raises(UnavailableError, match="expected room for it on the device"):
        chosen(tmp_path, *room, asked=asked)


def test_the_engine_that_was_asked_for_serves(tmp_path: Path) -> None:
    assert chosen(tmp_path, False, True, asked=1) == [1]
    assert chosen(tmp_path, True, True, asked=1) == [1]


def test_an_engine_that_there_is_not_is_vllms_to_refuse(tmp_path: Path) -> None:
    assert chosen(tmp_path, True, True, asked=5) == [5]


def test_nobody_is_asked_where_requests_wait_or_for_the_base(tmp_path: Path) -> None:
    assert chosen(tmp_path, False, asked=3, when_full=WAIT) == [3]
    assert chosen(tmp_path, False, variant=BASE_VARIANT) == [None]


def test_a_failure_to_answer_is_a_refusal(tmp_path: Path) -> None:
    async def everyone(*_: Any) -> list[list[bool]]:
        raise RuntimeError("Call to collective_rpc method failed: unloaded")

    front_end = FrontEnd(Catalogue(tmp_path, BASE), REFUSE)
    with pytest.raises(UnavailableError, match=r"france@0{12}: the engine refused it: .*unloaded"):
        asyncio.run(front_end.engine_for(FRANCE, everyone))
