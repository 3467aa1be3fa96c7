"""Fields of a JSON object, of the kind that was expected. Knows no format.

Every function raises a ValueError that says what was expected, what was found, and what to do.
"""

from collections.abc import Iterable, Mapping
from typing import Any

_REQUIRED: Any = object()


def of(value: Any, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    """An object with all the required keys, and none but those and the optional ones."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {value!r:.80}; write {{...}}")
    required, optional = tuple(required), tuple(optional)
    missing = [key for key in required if key not in value]
    if missing:
        found = ", ".join(sorted(value)) or "none"
        raise ValueError(f"expected the key {missing[0]}, found {found:.200}; add it")
    unknown = sorted(set(value) - {*required, *optional})
    if unknown:
        known = ", ".join((*required, *optional))
        raise ValueError(f"expected no keys but {known}, found {unknown[0]:.80}; remove it")
    return value


def text(row: Mapping[str, Any], key: str, default: str = _REQUIRED) -> str:
    """A text that is not empty, or the default where the key is absent."""
    if key not in row and default is not _REQUIRED:
        return default
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected {key} to be a text, found {value!r:.80}; write one")
    return value


def texts(
    row: Mapping[str, Any], key: str, default: tuple[str, ...] = _REQUIRED
) -> tuple[str, ...]:
    """A list of one text or more, or the default where the key is absent."""
    if key not in row and default is not _REQUIRED:
        return default
    value = row.get(key)
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected {key} to be a list of texts, found {value!r:.80}; write one")
    return tuple(text({key: one}, key) for one in value)


def objects(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object, empty where the key is absent."""
    value = row.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"expected {key} to be an object, found {value!r:.80}; write {{...}}")
    return value


def choice(row: Mapping[str, Any], key: str, choices: Iterable[str]) -> str:
    """One of a few texts."""
    value, choices = row.get(key), tuple(choices)
    if value not in choices:
        raise ValueError(
            f"expected {key} to be one of {', '.join(choices)}, found {value!r:.80}; choose one"
        )
    return str(value)
