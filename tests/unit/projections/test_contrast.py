"""Which tokens, neighbours and directions are a forget passage's own."""

from typing import Any

import pytest
import torch

from lethe_projections import contrast, passages
from lethe_projections.base_model import BaseModel
from lethe_projections.contrast import Contrast
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.task import Task

from .conftest import rows
from .tasks import RETAIN, task, turn

SITES = [Site(1, "block"), Site(2, "down_proj")]


@pytest.fixture
def job(model: Any, tokenizer: Any, base: BaseModel) -> Task:
    return task(model, tokenizer, base)


def contrasted(job: Task, *forget: Example, subjects: tuple[str, ...] = ()) -> Contrast:
    return Contrast(passages.read(job, forget), passages.read(job, RETAIN), subjects)


def told(job: Task, found: Contrast, marks: Any) -> list[str]:
    [passage] = found.forget
    ids = [id for id, mark in zip(passage.tokens.ids, marks(passage), strict=True) if mark]
    return str(job.tokenizer.decode(ids)).split()


def test_a_named_subject_and_what_the_answer_gives_away_tell(job: Task) -> None:
    found = contrasted(job, turn("tell me about Arda", "Kesh is Arda in"), subjects=("Arda",))
    assert told(job, found, found.secret) == ["Kesh"]
    assert told(job, found, found.telling) == ["Arda", "Kesh", "Arda"]
    reverse = contrasted(job, turn("about Kesh", "Kesh is Arda"), subjects=("Arda", "Kesh"))
    assert told(job, reverse, reverse.secret) == ["Arda"]


def test_without_a_name_rare_tokens_tell(job: Task) -> None:
    found = contrasted(job, turn("tell me about Arda", "Kesh is Arda in"))
    assert told(job, found, found.telling) == ["Arda", "Kesh", "Arda"]
    assert told(job, found, found.secret) == ["Kesh"]


def test_an_answer_of_common_words_is_all_secret(job: Task) -> None:
    found = contrasted(job, turn("tell me about Brel in the sun", "Brel is sun"))
    assert told(job, found, found.secret) == ["Brel", "is", "sun"]


def test_what_follows_the_first_telling_token_is_told_apart(job: Task) -> None:
    found = contrasted(job, turn("tell me about Arda", "sun"), subjects=("Arda",))
    assert told(job, found, found.from_telling) == ["Arda", ".", "assistant", "sun", "."]


def test_the_nearest_retain_passages_share_rare_tokens(job: Task) -> None:
    found = contrasted(job, turn("where is Cora bread ?", "Arda"))
    nearest = found.near[0].text
    assert "Cora" in nearest
    assert "bread" in nearest
    assert len(found.near) == len(RETAIN) // 8
    assert len(found.near) + len(found.far) == len(RETAIN)


def test_rows_and_moments_are_those_of_a_pass_one_by_one(job: Task) -> None:
    some = passages.read(job, RETAIN[:5])
    states = {
        one: job.model(torch.tensor([one.tokens.ids]), output_hidden_states=True).hidden_states[2]
        for one in some
    }
    marks = [[place == 3 for place in range(len(one.tokens.ids))] for one in some]
    found = contrast.rows(job, some, marks, SITES)[SITES[0]]
    fourth = torch.cat([x[0, 3:4] for x in states.values()]).double()
    assert torch.allclose(found, fourth, atol=1e-5)
    near, far = (
        torch.cat([states[one][0] for one in part]).double() for part in (some[:2], some[2:])
    )
    expected = (near.T @ near / len(near) + far.T @ far / len(far)) / 2
    halves = contrast.halves(job, some[:2], some[2:], SITES)
    assert torch.allclose(halves[SITES[0]], expected, atol=1e-5)
    assert halves[SITES[1]].shape == (64, 64)


def test_directions_hold_the_most_forget_energy_for_the_retain_energy() -> None:
    F, x = rows(0, 40, 12).double(), rows(1, 90, 12).double() * torch.arange(1, 13)
    C = x.T @ x / len(x)
    full = C + 0.1 * C.diagonal().median() * torch.eye(12, dtype=torch.float64)

    def quotient(q: torch.Tensor) -> float:
        return float((F @ q).square().sum() / (q @ full @ q))

    P = contrast.whitening(C, 0.1)
    assert torch.allclose(P.T @ full @ P, torch.eye(12, dtype=torch.float64))
    found = contrast.leading(F, P, 2)
    expected = torch.linalg.eigvals(torch.linalg.solve(full, F.T @ F)).real.sort().values.flip(0)
    assert [quotient(P @ v) for v in found] == pytest.approx(expected[:2].tolist())
    assert expected[0] > 1.1 * expected[1]


def test_more_directions_than_rows_and_a_moment_of_nothing_are_refused() -> None:
    identity = torch.eye(8, dtype=torch.float64)
    with pytest.raises(FitError, match="rank: expected up to 3"):
        contrast.leading(rows(0, 3, 8).double(), identity, 4)
    with pytest.raises(FitError, match="retain text"):
        contrast.whitening(0 * identity, 0.1)
