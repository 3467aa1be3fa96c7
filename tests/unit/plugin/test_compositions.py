"""Compositions as the front end keeps them, and as an `LLM` asks for them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.compose import compose
from lethe_projections.errors import CompositionError
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_vllm.catalogue import Catalogue
from lethe_vllm.compositions import Compositions, composed
from lethe_vllm.errors import UnavailableError, UnknownProfileError
from lethe_vllm.frontend import FrontEnd
from lethe_vllm.selection import PROFILE_KEY, Selection, Variant

BASE = BaseModel("LlamaForCausalLM", 8, 2, 16, 32, "f" * 64)
NAMES = "abcde"


def data(seed: int) -> bytes:
    generator = torch.Generator().manual_seed(seed)
    A, B = (torch.randn(2, 8, generator=generator) for _ in "AB")
    return artifact.to_bytes(Profile(BASE, (Projector(Site(0, "block"), A, B),), "synthetic"))


class Rpc:
    """An engine's end of `collective_rpc`."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.loads = 0

    def __call__(self, method: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        if method == "lethe_status":
            return []
        if method == "lethe_load":
            assert artifact.digest(args[1]) == args[0]
            self.held.add(args[0])
            self.loads += 1
        else:
            self.held.discard(args[0])
        return [{"digest": args[0], "error": 0.0}]


@pytest.fixture
def front_end(tmp_path: Path) -> FrontEnd:
    found = FrontEnd(Catalogue(tmp_path, BASE))
    for seed, name in enumerate(NAMES):
        found.catalogue.put(name, data(seed))
    return found


def ask(front_end: FrontEnd, text: str, rpc: Rpc) -> Variant:
    variant = front_end.variant_of({PROFILE_KEY: text})
    front_end.load(variant, rpc)
    return variant


def offline(*seeds: int) -> str:
    profiles = [artifact.from_bytes(data(seed)) for seed in seeds]
    return artifact.digest(artifact.to_bytes(compose(profiles)))


def test_a_selection_of_several_is_their_composition_loaded_once(front_end: FrontEnd) -> None:
    rpc = Rpc()
    variant = ask(front_end, "b+a", rpc)
    assert variant == ask(front_end, "a+b", rpc)
    assert (variant.name, variant.digest) == ("a+b", offline(0, 1))
    assert rpc.held == {variant.digest}
    assert rpc.loads == 1
    assert variant.digest not in {part.digest for part in variant.parts}
    assert ask(front_end, "a", rpc) == variant.parts[0]


def test_what_cannot_be_composed_is_an_error(front_end: FrontEnd) -> None:
    with pytest.raises(UnknownProfileError, match="found 'nobody'"):
        ask(front_end, "a+nobody", Rpc())
    with pytest.raises(CompositionError, match=r"rank 8 or less.*found 10"):
        ask(front_end, "+".join(NAMES), Rpc())


def test_two_names_of_one_profile_are_that_profile(front_end: FrontEnd) -> None:
    front_end.catalogue.put("twin", data(0))
    rpc = Rpc()
    variant = ask(front_end, "twin+a", rpc)
    assert (variant.name, variant.digest) == ("a+twin", artifact.digest(data(0)))
    assert rpc.held == {variant.digest}


def test_the_one_not_used_for_longest_is_displaced_and_unloaded(front_end: FrontEnd) -> None:
    front_end.compositions.limit = 2
    rpc = Rpc()
    ab, bc = ask(front_end, "a+b", rpc), ask(front_end, "b+c", rpc)
    ask(front_end, "a+b", rpc)
    cd = ask(front_end, "c+d", rpc)
    assert rpc.held == {ab.digest, cd.digest} == front_end.resident
    with pytest.raises(UnavailableError, match="displaced"):
        front_end.load(bc, rpc)
    assert ask(front_end, "b+c", rpc) == bc
    assert rpc.held == {cd.digest, bc.digest}


def test_a_displaced_composition_that_has_a_name_stays(front_end: FrontEnd) -> None:
    front_end.compositions.limit = 1
    rpc = Rpc()
    ab = ask(front_end, "a+b", rpc)
    front_end.catalogue.put("both", front_end.data(ab))
    assert ask(front_end, "both", rpc) == Variant("both", ab.digest)
    cd = ask(front_end, "c+d", rpc)
    assert rpc.held == {ab.digest, cd.digest}


def test_the_factors_kept_are_bounded_but_for_the_last(front_end: FrontEnd) -> None:
    selections = [Selection.parse(text) for text in ("a+b", "b+c", "c+d")]
    parts = [front_end.catalogue.find(selection) for selection in selections]
    one, two, three = map(composed, parts)
    kept = Compositions(max_bytes=2 * one.profile.nbytes)
    assert kept.add(one) == kept.add(two) == []
    assert kept.add(three) == [one.digest]
    assert kept.use(parts[0]) is None
    kept.max_bytes = 1
    assert kept.add(one) == [two.digest, three.digest]
    assert kept.use(parts[0]) is one


def test_every_composition_of_a_part_is_dropped_with_it(front_end: FrontEnd) -> None:
    found = [front_end.resolve(Selection.parse(text)) for text in ("a+b", "b+c", "a+c+d")]
    part = artifact.digest(data(0))
    gone = front_end.compositions.without(part)
    assert gone == [found[0].digest, found[2].digest, part]
    assert found[1].digest in front_end.compositions
    assert found[0].digest not in front_end.compositions


def test_a_replaced_part_makes_another_composition(front_end: FrontEnd) -> None:
    rpc = Rpc()
    old = ask(front_end, "a+b", rpc)
    front_end.catalogue.put("a", data(9))
    new = ask(front_end, "a+b", rpc)
    assert new.digest == offline(9, 1) != old.digest


def test_a_part_that_a_file_replaced_takes_its_compositions_with_it(front_end: FrontEnd) -> None:
    rpc = Rpc()
    old = ask(front_end, "a+b", rpc)
    folder = front_end.catalogue.folder
    assert folder is not None
    (folder / "a.safetensors").write_bytes(data(9))
    ask(front_end, "b", rpc)
    ask(front_end, "a", rpc)
    assert old.digest not in front_end.compositions
    assert old.digest not in front_end.resident
