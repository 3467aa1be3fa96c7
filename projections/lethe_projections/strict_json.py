"""JSON as an untrusted file may hold it: one meaning per document, or a ValueError.

Knows nothing of artifacts. Python's own reader lets duplicate keys, NaN, infinities, lone
surrogates and any depth pass; each would mean one thing here and another elsewhere.
"""

import json
from typing import Any, NoReturn

MAX_DEPTH = 16


def loads(text: str | bytes) -> Any:
    """Parses one document.

    Raises:
        ValueError: not UTF-8, not JSON, a duplicate key, NaN or an infinity, a lone
            surrogate, or nested deeper than `MAX_DEPTH`.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    _check_depth(value)
    dumps(value)
    return value


def dumps(value: Any) -> str:
    """The one canonical text of a JSON value: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: a number that is not finite, a string that is not Unicode text, or a
            value JSON has no form for.
    """
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
        return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no JSON form: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice[:80]!r} appears twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
