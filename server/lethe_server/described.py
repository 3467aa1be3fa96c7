"""Field descriptions of a wire document, out of its class's docstring. Knows nothing of fields.

A docstring names attributes once, in Google style; the OpenAPI document has them with each field.
"""

import inspect
import re
from typing import Any

_SECTION = "\nAttributes:\n"
_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", flags=re.M)


def describe(schema: dict[str, Any], cls: type) -> None:
    """Moves what a docstring says of attributes to a JSON schema's properties."""
    schema["description"] = _parts(cls)[0]
    for base in reversed(cls.__mro__):
        for name, text in _parts(base)[1].items():
            if name in schema.get("properties", {}):
                schema["properties"][name]["description"] = text


def _parts(cls: type) -> tuple[str, dict[str, str]]:
    """What a class's own docstring says of it, and of each attribute."""
    text, _, attributes = inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition(_SECTION)
    found = _ATTRIBUTE.findall(attributes)
    return text.strip(), {
        name: " ".join(said.split()) for names, said in found for name in names.split(", ")
    }
