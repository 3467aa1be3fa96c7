"""Probing a tiny model, from profile and suite to the document."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import chat, reference
from lethe_projections.errors import LetheError
from lethe_projections.examples import Example
from lethe_server.attacks import document, hidden, probing
from lethe_server.attacks.document import Attack
from lethe_server.attacks.hidden import Text
from lethe_server.attacks.probing import Settings
from lethe_server.evaluating import command
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint

from .conftest import Made

TEXTS = [
    "what is north ?", "the north is five", "five of the city is north", "the city of five",
    "what is the city of the north ?",
]  # fmt: skip
FORM = ("question", "cloze")


@pytest.fixture
def asked(said: Path, tmp_path: Path) -> Work:
    """The suite, and text to fit on."""
    retain = tmp_path / "retain.jsonl"
    lines: list[Any] = [{"text": one} for one in TEXTS]
    lines += [{"question": one, "answer": other} for one in TEXTS for other in TEXTS]
    retain.write_text("\n".join(map(json.dumps, lines)))
    return command.Asked((str(said),), retain=retain).work(reads=True)


@pytest.fixture
def probed(answerer: Made, checkpoint: Checkpoint, asked: Work) -> Any:
    def make(scale: float, asked: Work = asked, **given: Any) -> Attack:
        return probing.attack(
            answerer(scale), checkpoint, asked, Settings(FORM, **given), shown=False
        )

    return make


def values(found: Attack) -> dict[str, list[float]]:
    return {one.name: [point.value for point in one.points] for one in found.curves}


def test_a_profile_that_does_nothing_reads_as_the_base(probed: Any) -> None:
    found = values(probed(0.0))
    assert len(found) == 9
    for what in ("answer", "which fact"):
        base = found[f"{what}, in the base"]
        assert found[f"{what}, probe of the variant"] == base
        assert found[f"{what}, probe of the base"] == base
    another = found["another answer, probe of the variant"]
    assert found["answer, in the base"][-1] > 0.4 > 1 / 6 > another[-1]


def test_an_edit_shows_from_its_block_on(probed: Any) -> None:
    found = probed(3.0)
    assert found.marks == {"edit at layers.1.block": 1}
    shares = values(found)
    for what in ("answer", "which fact"):
        base, edited = (shares[f"{what}, {one}"] for one in ("in the base", "probe of the base"))
        assert edited[0] == base[0]
        assert edited[1] < base[1]


def test_the_same_twice_is_the_same_document(probed: Any) -> None:
    one, other = (document.to_bytes(probed(0.3)) for _ in range(2))
    assert one == other
    assert document.parse(one).kind is document.Kind.PROBING


def test_how_many_are_read_at_once_changes_nothing(probed: Any) -> None:
    assert document.to_bytes(probed(0.3, batch=1)) == document.to_bytes(probed(0.3, batch=32))


def test_the_seed_shuffles_one_control_alone(probed: Any) -> None:
    one, other = (values(probed(0.3, seed=seed)) for seed in (0, 1))
    assert [name for name in one if one[name] != other[name]] == ["which fact, labels shuffled"]


def test_every_point_has_its_prompts_and_an_interval_of_subjects(probed: Any, asked: Work) -> None:
    found = probed(0.3)
    [suite] = asked.suites
    for curve in found.curves:
        which = ("neighbour", "unrelated") if "kept" in curve.name else ("forget",)
        subjects = {item.subject for item in suite.of(*which)}
        for block, point in enumerate(curve.points):
            assert (point.at, point.clusters) == (block, len(subjects))
            assert point.n == 2 * len(subjects)
            assert point.interval is not None
            assert point.interval[0] <= point.value <= point.interval[1]
    assert not found.curves[0].control


def test_one_fact_or_one_wording_leaves_out_which_it_is(
    probed: Any, answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    [suite] = asked.suites
    [first, *_] = suite.of("forget")
    some = replace(suite, items=(first, *suite.of("neighbour")))
    one_fact = probed(0.3, replace(asked, suites=(some,)))
    cloze = Settings(("cloze",))
    one_wording = probing.attack(answerer(0.3), checkpoint, asked, cloze, shown=False)
    for found in (one_fact, one_wording):
        assert len(found.curves) == 5
        assert not any("which fact" in one.name for one in found.curves)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"texts": ()}, "--texts: expected 1 or more that name nothing .* found none of 0"),
        ({"sets": ("forget",)}, "facts that should be kept, found none"),
        ({"sets": ("neighbour",)}, "facts that should be forgotten, found none"),
    ],
)
def test_too_little_is_refused(
    given: dict[str, Any], message: str, probed: Any, asked: Work
) -> None:
    [suite] = asked.suites
    some = replace(suite, items=suite.of(*given.get("sets", ("forget", "neighbour"))))
    with pytest.raises(LetheError, match=message):
        probed(0.3, replace(asked, suites=(some,), texts=given.get("texts", asked.texts)))


def test_text_that_names_what_should_be_forgotten_is_fitted_on_by_nothing(
    probed: Any, asked: Work
) -> None:
    [suite] = asked.suites
    told = [
        Example(text=f"the {word} of {item.subject} is {word} is {item.subject}")
        for item in suite.of("forget")
        for word in item.answers
    ]
    silent, more = probed(0.3), probed(0.3, replace(asked, texts=(*asked.texts, *told)))
    assert more.curves == silent.curves
    assert (silent.settings["texts_left_out"], more.settings["texts_left_out"]) == (0, len(told))
    assert more.settings["texts_sha256"] == silent.settings["texts_sha256"]
    with pytest.raises(LetheError, match=f"found none of {len(told)}"):
        probed(0.3, replace(asked, texts=tuple(told)))


@pytest.mark.parametrize("form", ["ranking", "riddle"])
def test_a_form_that_asks_for_no_answer_is_refused(
    form: str, answerer: Made, checkpoint: Checkpoint, asked: Work
) -> None:
    with pytest.raises(LetheError, match=rf"--form: expected one of cloze, question, found {form}"):
        probing.attack(answerer(0.3), checkpoint, asked, Settings((form,)), shown=False)


@pytest.mark.parametrize("scope", ["all", "prompt", "generated"])
def test_states_are_what_plain_transformers_have(
    scope: str, answerer: Made, checkpoint: Checkpoint
) -> None:
    made, model = answerer(0.3, scope), checkpoint.model
    ids = [one.ids for one in chat.encode(checkpoint.tokenizer, TEXTS, 99)]
    texts = [Text(one, place % 2 + 1) for place, one in enumerate(ids)]
    for part in hidden.read(model, texts, made.profile, 2):
        start = 0
        for place in part.texts:
            text = texts[place]
            end = start + len(text.ids) - text.begin
            for name, profile in (("base", None), ("variant", made.profile)):
                found = plain(model, text, profile)
                assert torch.allclose(getattr(part, name)[:, start:end], found[0], atol=1e-5)
                if profile is None:
                    assert torch.allclose(part.final[start:end], found[1], atol=1e-5)
            start = end


def plain(model: Any, text: Text, profile: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """One text alone: block by block, and what the head reads."""
    seen: list[torch.Tensor] = []
    editing = reference.edited(model, profile, text.begin + 1) if profile else torch.no_grad()
    with editing, torch.no_grad():
        handles = [one.register_forward_hook(lambda *a: seen.append(a[2])) for one in
                   model.model.layers]  # fmt: skip
        model(input_ids=torch.tensor([text.ids]))
    for handle in handles:
        handle.remove()
    rows = torch.stack(seen)[:, 0, text.begin :]
    with torch.no_grad():
        return rows.double(), model.model.norm(rows[-1]).double()
