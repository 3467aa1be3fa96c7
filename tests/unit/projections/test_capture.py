"""Streamed second moments against a direct sum, whatever the batch size and the padding."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lethe_projections import chat, windows
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


@pytest.mark.parametrize("batch_size", [1, 2, 7, 32])
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
    for seconds in (-1, float("nan")):
        with pytest.raises(FitError, match="save_every"):
            Limits(save_every=seconds)


def test_a_stream_is_summed_as_a_list_and_no_further_than_asked(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "_SLICE", 2)
    monkeypatch.setattr(windows, "TEXTS", 4)
    read: list[int] = []

    def stream() -> Iterator[str]:
        for number, text in enumerate(TEXTS * 3):
            read.append(number)
            yield text

    behind: list[int] = []
    model.model.layers[0].register_forward_hook(lambda *_: behind.append(len(read)))
    streamed = second_moments(model, tokenizer, stream(), SITES, Limits(2))
    listed = second_moments(model, tokenizer, TEXTS * 3, SITES, Limits(2))
    for site in SITES:
        assert torch.equal(streamed[site].total, listed[site].total)
    # The first window is summed while the second is at most begun.
    assert behind[0] == 4
    assert len(read) == 18


def test_what_windows_share_counts_once_in_each(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "_SLICE", 5)
    monkeypatch.setattr(windows, "TEXTS", 5)
    found = second_moments(model, tokenizer, TEXTS[:1] * 15, SITES)[SITES[0]]
    once = second_moments(model, tokenizer, TEXTS[:1], SITES)[SITES[0]]
    assert found.count == 3 * once.count
    assert torch.allclose(found.mean, once.mean, rtol=1e-6)


def test_special_tokens_count_unless_left_out(model: Any, tokenizer: Any) -> None:
    texts = ["the [PAD] moon", "the [PAD] sun [UNK]"]
    site = SITES[0]
    encoded = chat.encode(tokenizer, texts, 512)
    rows = [read(model, chat.pad([one]), [site])[site][0].double() for one in encoded]
    # The second text's "the [PAD]" has been seen; unknown text is text.
    shared, rest = rows[0][:2], [rows[0][2:], rows[1][2:]]
    for counts, special in ((True, shared), (False, shared[:1])):
        x = torch.cat([special, *rest])
        found = second_moments(model, tokenizer, texts, [site], Limits(special_tokens=counts))
        assert found[site].count == len(x) == 4 + counts
        expected = x.T @ x
        assert (found[site].total - expected).norm() < 1e-5 * expected.norm()


def test_only_what_lies_below_the_diagonal_is_summed_and_mirrored() -> None:
    x = torch.randn(50, 600, generator=torch.Generator().manual_seed(0))
    moments = SecondMoments(600)
    for part in x.split(20):
        moments.update(part)
    expected = x.double().T @ x.double()
    assert moments.count == 50
    assert torch.allclose(moments.total, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(moments.total, moments.total.T)
    assert torch.allclose(moments.mean, expected / 50)
    assert moments.lower[0, -1] == 0 != expected[0, -1]


def test_a_long_pass_says_how_far_it_is(
    model: Any,
    tokenizer: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lethe_projections.progress.EVERY_S", 0)
    second_moments(model, tokenizer, [*TEXTS, TEXTS[0]], SITES, Limits(2), progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("lethe: reading retain text: 3 of 7 texts, about ")
    assert lines[2] == "lethe: reading retain text: 7 of 7 texts, about 0 s left"
    second_moments(model, tokenizer, TEXTS, SITES)
    assert capsys.readouterr().err == ""
