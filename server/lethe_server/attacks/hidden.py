"""What base and variant compute after every block, at chosen tokens. Knows no probe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lethe_projections import chat, decoder, states
from lethe_projections.profile import Profile
from lethe_projections.projector import Site


@dataclass(frozen=True)
class Text:
    """A tokenised text.

    Attributes:
        ids: its token ids.
        begin: the last token of the prompt; from there on it is read.
    """

    ids: tuple[int, ...]
    begin: int


@dataclass(frozen=True, eq=False)
class Hidden:
    """The tokens that are read of some texts, one after the other.

    Attributes:
        texts: places of the texts, in the order that they are read in.
        base: [blocks, t, hidden] float64, after each block.
        variant: the same with the edits.
        final: [t, hidden] float64, what the base's output head reads.
    """

    texts: tuple[int, ...]
    base: Tensor
    variant: Tensor
    final: Tensor


@torch.no_grad()
def read(model: Any, texts: Sequence[Text], profile: Profile, batch: int) -> Iterator[Hidden]:
    """Runs base and variant on the same texts, those of like length together.

    Args:
        model: transformers decoder.
        texts: which.
        profile: of the variant.
        batch: texts a pass; it changes no more than the last bits.

    Raises:
        IncompatibleError: the model's form is not understood.
    """
    order = sorted(range(len(texts)), key=lambda at: (len(texts[at].ids), at))
    for start in range(0, len(order), batch):
        places = tuple(order[start : start + batch])
        some = [texts[place] for place in places]
        base, final = _after_blocks(model, some, None)
        variant, _ = _after_blocks(model, some, profile)
        yield Hidden(places, base, variant, final)


def _after_blocks(
    model: Any, texts: Sequence[Text], profile: Profile | None
) -> tuple[Tensor, Tensor]:
    rows = chat.pad(texts)
    wanted = _wanted(texts, rows.input_ids.shape[1])
    found: list[Tensor] = []
    with states.editing(model, profile, torch.tensor([one.begin + 1 for one in texts])):
        # After the edits, so that they are seen.
        blocks = range(len(decoder.layers(model)))
        modules = [decoder.module_at(model, Site(block, "block")) for block in blocks]
        hook = partial(_record, found, wanted)
        handles = [module.register_forward_hook(hook) for module in modules]
        try:
            out = model(
                input_ids=rows.input_ids,
                attention_mask=rows.attention_mask,
                use_cache=False,
                output_hidden_states=True,
                logits_to_keep=1,
            )
        finally:
            for handle in handles:
                handle.remove()
    return torch.stack(found), out.hidden_states[-1][wanted].double()


def _wanted(texts: Sequence[Text], width: int) -> Tensor:
    """[b, t] bool, the tokens that are read."""
    place = torch.arange(width)
    begins = torch.tensor([one.begin for one in texts])[:, None]
    ends = torch.tensor([len(one.ids) for one in texts])[:, None]
    return (place >= begins) & (place < ends)


def _record(found: list[Tensor], wanted: Tensor, _module: Any, _args: Any, output: Any) -> None:
    y = output[0] if isinstance(output, tuple) else output
    found.append(y[wanted].double())
