"""Streamed second moments against a direct sum, whatever the batch size and the padding."""

from typing import Any

import pytest
import torch

from lethe_projections import chat
from lethe_projections.activations import read
from lethe_projections.capture import Limits, SecondMoments, second_moments
from lethe_projections.errors import FitError
from lethe_projections.projector import Site

TEXTS = [
    "the capital of Arda is Brel .",
    "bread and water",
    "tell me about the river in Cora please",
    "moon",
    "who was Elva ? Elva was the sun of the north and the south and the east and the west .",
    "the capital of Cora is Doma .",
]
SITES = [Site(1, "down_proj"), Site(2, "block")]


def direct(model: Any, tokenizer: Any, site: Site) -> tuple[torch.Tensor, int]:
    """One text at a time, each distinct context once."""
    rows: dict[tuple[int, ...], torch.Tensor] = {}
    for tokens in chat.encode(tokenizer, TEXTS, 512):
        x = read(model, chat.pad([tokens]), [site])[site][0].double()
        for end in range(len(tokens.ids)):
            rows[tokens.ids[: end + 1]] = x[end]
    stacked = torch.stack(list(rows.values()))
    return stacked.T @ stacked, len(stacked)


@pytest.mark.parametrize("batch_size", [1, 2, 6, 100])
def test_the_sum_does_not_depend_on_the_batch_size(
    model: Any, tokenizer: Any, batch_size: int
) -> None:
    found = second_moments(model, tokenizer, TEXTS, SITES, Limits(batch_size))
    for site in SITES:
        expected, count = direct(model, tokenizer, site)
        assert found[site].count == count
        assert found[site].total.dtype == torch.float64
        error = (found[site].total - expected).norm() / expected.norm()
        assert error < 1e-5


def test_a_context_that_many_texts_share_counts_once(model: Any, tokenizer: Any) -> None:
    once = second_moments(model, tokenizer, TEXTS[:1], SITES)[SITES[0]]
    often = second_moments(model, tokenizer, TEXTS[:1] * 5, SITES)[SITES[0]]
    assert often.count == once.count == 7
    assert torch.allclose(often.total, once.total, rtol=1e-6)


def test_long_texts_are_cut(model: Any, tokenizer: Any) -> None:
    found = second_moments(model, tokenizer, TEXTS, SITES, Limits(max_tokens=1))
    assert found[SITES[0]].count == len({text.split()[0] for text in TEXTS})


def test_no_layer_after_the_last_site_is_run(model: Any, tokenizer: Any) -> None:
    ran: list[int] = []
    for index, block in enumerate(model.model.layers):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    second_moments(model, tokenizer, TEXTS[:1], [Site(1, "down_proj")])
    assert ran == [0, 1]


def test_nothing_to_read_is_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(FitError, match="retain text"):
        second_moments(model, tokenizer, [], SITES)
    with pytest.raises(FitError, match="token"):
        second_moments(model, tokenizer, [" "], SITES)
    with pytest.raises(FitError, match="at least one token"):
        _ = SecondMoments(3).mean
    for limits in ((0, 5), (5, 0)):
        with pytest.raises(FitError, match="1 or more"):
            Limits(*limits)


def test_the_template_is_applied_once(tokenizer: Any) -> None:
    text = chat.render(tokenizer, [{"role": "user", "content": "the moon"}], reply=True)
    assert text == "user the moon . assistant"
    [tokens] = chat.encode(tokenizer, [text], 512)
    assert tokenizer.convert_ids_to_tokens(tokens.ids) == text.split()


def test_the_last_token_of_a_word_is_found_by_its_place(tokenizer: Any) -> None:
    text = "Arda is in the north of Arda and the south"
    [tokens] = chat.encode(tokenizer, [text], 512)
    assert chat.last_token_of(tokens, text, "Arda") == 6
    assert chat.last_token_of(tokens, text, "the north") == 4
    with pytest.raises(FitError, match="altered or missing"):
        chat.last_token_of(tokens, text, "Brel")
    [cut] = chat.encode(tokenizer, [text], 3)
    with pytest.raises(FitError, match="cut off"):
        chat.last_token_of(cut, text, "south")
