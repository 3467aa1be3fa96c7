"""Profiles of a running `LLM`, with a fake engine at `collective_rpc`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_vllm import offline
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import ConflictError
from lethe_vllm.frontend import FrontEnd

from .test_catalogue import BASE, data


def test_what_a_pinned_name_refuses_does_not_stay_in_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, held = Catalogue(tmp_path, BASE), set()

    def rpc(method: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        if method == "lethe_load":
            held.add(args[0])
        if method == "lethe_unload":
            held.discard(args[0])
        return [{"digest": args[0] if args else None}]

    front_end = FrontEnd(catalogue)
    monkeypatch.setattr(offline.compat, "front_end", lambda _: front_end)
    llm = SimpleNamespace(llm_engine=SimpleNamespace(collective_rpc=rpc))
    offline.put_profile(llm, "france", data(1))
    catalogue.names.mark("france", pinned=True)
    with pytest.raises(ConflictError, match="pinned"):
        offline.put_profile(llm, "france", data(2))
    assert held == front_end.resident == {artifact.digest(data(1))}
