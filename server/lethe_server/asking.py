"""What a request asks to be served by: its header, its `model`, or both in agreement.

Pure functions of the request's bytes; knows nothing of the profiles there are.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import PROFILE_KEY, Selection

HEADER = "X-Unlearning-Profile"


def asked(
    header_values: Sequence[str],
    body: bytes | None,
    served: Collection[str],
    adapters: Collection[str] = (),
) -> Selection | None:
    """The selection of a request; None if it makes none.

    Args:
        header_values: every value of `X-Unlearning-Profile`.
        body: what may be JSON with a `model`, or None.
        served: names of the base model.
        adapters: names that vLLM serves besides; never read as `<served>:<profile>`.

    Raises:
        SelectionError: malformed, contradicting, or made where it has no authority.
    """
    model = _model(body) if body else None
    suffix = None if model is None or model in adapters else profile_of(model, served)
    return agreed(_by_header(header_values), None if suffix is None else Selection.parse(suffix))


def profile_of(model: str, served: Collection[str]) -> str | None:
    """`PROFILE` out of `<served name>:PROFILE`; None for a served name or any other model.

    A served name may hold a colon itself: the longest one that fits counts.
    """
    if model in served:
        return None
    fitting = [name for name in served if model.startswith(f"{name}:")]
    return model[len(max(fitting, key=len)) + 1 :] if fitting else None


def agreed(header: Selection | None, model: Selection | None) -> Selection | None:
    """The one selection that both mean; the more exact digests count.

    Raises:
        SelectionError: they mean different ones.
    """
    if header is None or model is None:
        return header or model
    both = header.agreed(model)
    if both is None:
        raise SelectionError(
            f"profile: expected one selection, found {header} in the {HEADER} header and {model} "
            "in the model name; send one of them"
        )
    return both


def wants_beams(body: bytes) -> bool:
    """Whether a JSON body asks for vLLM's beam search."""
    return bool(dict(top_level(body)).get("use_beam_search"))


def _by_header(values: Sequence[str]) -> Selection | None:
    different = sorted(set(values))
    if len(different) > 1:
        raise SelectionError(
            f"{HEADER}: expected one value, found {len(different)} different ones "
            f"({', '.join(value[:40] for value in different[:3])}); send one"
        )
    return Selection.parse(different[0]) if different else None


def _model(body: bytes) -> str | None:
    """`model` of a JSON object; None if there is none, or vLLM is to refuse the body anyway."""
    found = top_level(body)
    names = [value for key, value in found if key == "model"]
    if len(names) > 1:
        raise SelectionError(
            "model: expected it once in the body, found it "
            f"{len(names)} times; readers of JSON differ in which one counts: send one"
        )
    _refuse_arguments(dict(found))
    return names[0] if names and isinstance(names[0], str) else None


def top_level(body: bytes) -> list[tuple[str, Any]]:
    """Key and value pairs of a JSON object, repeated keys included; [] if it is none."""
    last: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Inner objects end first, so the outermost one is kept last.
        nonlocal last
        last = pairs
        return dict(pairs)

    try:
        document = json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        return []
    return last if isinstance(document, dict) else []


def _refuse_arguments(document: dict[str, Any]) -> None:
    """Refuses a selection by sampling argument before a stream has begun with status 200."""
    sampling = document.get("sampling_params")
    inner = sampling.get("extra_args") if isinstance(sampling, dict) else None
    for name, value in (("vllm_xargs", document.get("vllm_xargs")), ("extra_args", inner)):
        if isinstance(value, dict) and PROFILE_KEY in value:
            raise SelectionError(
                f"{name}.{PROFILE_KEY}: expected no selection there, found "
                f"{str(value[PROFILE_KEY])[:80]!r}; use the {HEADER} header or the model name"
            )
