"""The edit in plain torch, on a transformers model: what every other implementation must equal.

Written for clarity, not speed. Knows nothing of engines.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from lethe_projections import decoder
from lethe_projections.errors import IncompatibleError
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_projections.scope import SCOPES, kind

Edit = Callable[[Tensor, Tensor], Tensor]
"""From what a site reads, [..., d_in], and would have written, [..., d_out], to what it writes."""


def change(projector: Projector, x: Tensor) -> Tensor:
    """What the edit adds on tokens of its scope, g(x) ((x A^T + a) B).

    Factors are cast to the dtype and device of `x`; pass fp64 for an oracle.

    Args:
        projector: the edit.
        x: [..., d_in], what the site reads.

    Returns:
        [..., d_out] of x's dtype.
    """
    z = x @ projector.A.to(x).T
    if projector.a is not None:
        z = z + projector.a.to(x)
    added = z @ projector.B.to(x)
    return added if projector.gate is None else projector.gate(x) * added


def apply(projector: Projector, x: Tensor, y: Tensor) -> Tensor:
    """The edited output, y + change(x), of y's dtype; `y` is left as it is."""
    return y + change(projector, x).to(y)


@contextmanager
def edited(
    model: nn.Module, profile: Profile, prompt_tokens: Tensor | int | None = None
) -> Iterator[nn.Module]:
    """Runs `model` with the profile's edits until the block ends, by an error or not.

    At `block` the edit acts on the true residual stream, which transformers blocks return.

    Args:
        model: a transformers decoder.
        profile: made for its dimensions.
        prompt_tokens: how many of a row's columns are prompt, left padding included: a number, or
            [b] one a row. Needed where the profile has a scope other than `all`.

    Raises:
        IncompatibleError: the model has other dimensions than the profile's base, or a form
            that is not understood; or prompt_tokens is needed and missing.
    """
    decoder.check_dimensions(profile.base, model)
    with installed(model, profile.projectors, prompt_tokens):
        yield model


@contextmanager
def installed(
    model: nn.Module,
    projectors: Iterable[Projector],
    prompt_tokens: Tensor | int | None = None,
) -> Iterator[None]:
    """Hooks projectors onto `model` without a profile around them, for fitting.

    Those of one site read the same unedited input.

    Raises:
        IncompatibleError: as `edited`.
    """
    ordered = sorted(projectors, key=lambda projector: projector.site)
    with ExitStack() as stack:
        kinds = None
        if any(projector.positional for projector in ordered):
            kinds = stack.enter_context(_kinds(model, prompt_tokens))
        edits = {
            site: _sum(tuple(group), kinds)
            for site, group in groupby(ordered, key=lambda projector: projector.site)
        }
        stack.enter_context(hooked(model, edits))
        yield


@contextmanager
def hooked(model: nn.Module, edits: Mapping[Site, Edit]) -> Iterator[None]:
    """Puts any function at sites, differentiable ones included, until the block ends.

    Raises:
        IncompatibleError: the model's form is not understood.
    """
    with ExitStack() as stack:
        for site, edit in edits.items():
            module = decoder.module_at(model, site)
            hook = _hook(edit, reads_input=site.hook == "down_proj")
            stack.callback(module.register_forward_hook(hook).remove)
        yield


def _sum(projectors: tuple[Projector, ...], kinds: list[Tensor] | None) -> Edit:
    def edit(x: Tensor, y: Tensor) -> Tensor:
        for projector in projectors:
            added = change(projector, x).to(y)
            if projector.positional and kinds is not None:
                active = torch.tensor(SCOPES[projector.scope])[kinds[0]]
                added = torch.where(active[..., None].to(y.device), added, 0)
            y = y + added
        return y

    return edit


@contextmanager
def _kinds(model: nn.Module, prompt_tokens: Tensor | int | None) -> Iterator[list[Tensor]]:
    """A cell that holds, during a forward pass, the kind of each token, [b or 1, t]."""
    if prompt_tokens is None:
        raise IncompatibleError(
            "expected prompt_tokens, since the profile has a scope that depends on where the "
            "prompt ends, found none; say how many tokens of each row are prompt"
        )
    lengths = torch.as_tensor(prompt_tokens).reshape(-1, 1)
    cell: list[Tensor] = []

    def count(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = args[0] if args else kwargs.get("input_ids")
        ids: Any = kwargs["inputs_embeds"] if given is None else given
        cache = kwargs.get("past_key_values")
        start = 0 if cache is None else int(cache.get_seq_length())
        cell[:] = [kind(torch.arange(start, start + ids.shape[1]), lengths)]

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield cell
    finally:
        handle.remove()


def _hook(edit: Edit, reads_input: bool) -> Any:
    def run(_module: nn.Module, args: tuple[Tensor, ...], output: Any) -> Any:
        # Attention returns (output, weights); blocks of older transformers a tuple as well.
        y = output[0] if isinstance(output, tuple) else output
        new = edit(args[0] if reads_input else y, y)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    return run
