"""`If-Match` and `If-None-Match`: what a name has to mean for a request to change it.

The digest in quotes is the entity tag of what a name means.
"""

import re

from starlette.datastructures import Headers

from lethe_vllm.errors import SelectionError
from lethe_vllm.store.meanings import Expected

HEADERS = {
    "If-None-Match": "`*`: only if the name means nothing yet.",
    "If-Match": 'The whole digest in quotes, `"d52dd5..."`: only if the name means it now.',
}
"""What the OpenAPI document says of them."""

_TAG = re.compile(r'"([0-9a-f]{64})"')


def expected(headers: Headers) -> Expected | None:
    """Reads the headers of a request; None without these two.

    Raises:
        SelectionError: both, one of them twice, or another form.
    """
    found = [(name, value) for name in HEADERS for value in headers.getlist(name)]
    match found:
        case []:
            return None
        case [("If-None-Match", "*")]:
            return Expected(None)
        case [("If-Match", value)] if tag := _TAG.fullmatch(value):
            return Expected(tag[1])
    raise SelectionError(
        "PUT: expected 'If-None-Match: *', or 'If-Match: \"DIGEST\"' with the 64 hex digits of a "
        f"digest, or neither, found {_said(found)}; correct it"
    )


def _said(found: list[tuple[str, str]]) -> str:
    return ", ".join(f"'{name}: {value[:80]}'" for name, value in found)
