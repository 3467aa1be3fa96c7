"""docs/api.md, made from the OpenAPI document of Lethe's own routes.

python -m docs.making.api [FILE]       # make reference
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.marked import Marked
from docs.making.api_examples import EXAMPLES
from lethe_server.policy.routes import needs

PAGE = Path(__file__).parents[1] / "api.md"
TAG = "unlearning"
"""Of every route that answers with a document."""

MARKED = Marked("<!-- made by `make reference`; do not edit -->", "<!-- end -->")


def document() -> dict[str, Any]:
    """The OpenAPI document of an application that has Lethe's routes alone.

    Pages and other files that a server has are not among its paths.
    """
    from fastapi import FastAPI

    from lethe_server.entry import LetheEndpoints

    app = FastAPI(title="Lethe")
    LetheEndpoints().attach_router(app)
    whole = app.openapi()
    paths = {
        path: operations
        for path, operations in whole["paths"].items()
        if all(TAG in operation.get("tags", ()) for operation in operations.values())
    }
    return {**whole, "paths": paths, "components": {"schemas": _used(whole, paths)}}


def _used(whole: dict[str, Any], paths: dict[str, Any]) -> dict[str, Any]:
    """The schemas that paths have, and those that these have."""
    schemas = whole["components"]["schemas"]
    found: dict[str, Any] = {}
    names = _named_in(paths)
    while names:
        found |= {name: schemas[name] for name in names}
        names = _named_in([schemas[name] for name in names]) - found.keys()
    return found


def _named_in(part: Any) -> set[str]:
    """The names of schemas that a part of the document refers to."""
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part)))


def rendered(found: dict[str, Any]) -> str:
    """What the page has of it.

    Raises:
        KeyError: a route has no example.
    """
    lines = ["## Routes\n"]
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            lines += _route(method.upper(), path, operation)
    lines.append("## Schemas\n")
    for name, schema in sorted(found["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _route(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method} {path}\n"
    yield f"{operation['description']}\n"
    yield f"Needs {needs(method, path).value}.\n"
    yield from _parameters(operation.get("parameters", []))
    if "requestBody" in operation:
        yield "| body | |\n|---|---|"
        yield from _content(operation["requestBody"]["content"])
        yield ""
    yield "| status | | |\n|---|---|---|"
    for status, response in operation["responses"].items():
        yield f"| {status} | {_said(response)} | {_bodies(response)} |"
    yield f"\n```sh\n{EXAMPLES[method, path]}\n```\n"


def _parameters(parameters: list[dict[str, Any]]) -> Iterator[str]:
    if parameters:
        yield "| parameter | in | |\n|---|---|---|"
        for one in parameters:
            yield f"| `{one['name']}` | {one['in']} | {one['description']} |"
        yield ""


def _content(content: dict[str, Any]) -> Iterator[str]:
    for media, found in content.items():
        yield f"| `{media}` | {_kind(found['schema'])} |"


def _said(response: dict[str, Any]) -> str:
    said: str = response["description"]
    return "" if said == "Successful Response" else said


def _bodies(response: dict[str, Any]) -> str:
    """What an answer has, where it is no error: those all have the same."""
    kinds = [
        _kind(found["schema"])
        if media == "application/json"
        else f"`{media}`: {found['schema']['description']}"
        for media, found in response.get("content", {}).items()
    ]
    return " ".join(kind for kind in kinds if "ErrorDocument" not in kind)


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if "description" in schema:
        yield f"{' '.join(schema['description'].split())}\n"
    if "properties" not in schema:
        yield f"{_kind(schema)}\n"
        return
    yield "| field | type | default | |\n|---|---|---|---|"
    required = schema.get("required", [])
    for field, found in schema.get("properties", {}).items():
        default = "required" if field in required else f"`{_literal(found.get('default'))}`"
        said = found.get("description", "")
        yield f"| `{field}` | {_kind(found)} | {default} | {_cell(said)} |"
    yield ""


def _kind(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "const" in schema:
        return f"`{_literal(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{_literal(one)}`" for one in schema["enum"])
    return ", ".join([_named(schema), *_bounds(schema)])


_BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    """What a value is confined to; a list of given items says it by itself."""
    for low, high, unit in () if "prefixItems" in schema else _BOUNDS:
        least, most = (schema.get(key) for key in (low, high))
        if least is not None or most is not None:
            start = "up" if least is None else f"from {least:g}"
            end = "" if most is None else f" to {most:g}"
            yield f"{start}{end}{unit}"
    if "pattern" in schema:
        yield f"`{schema['pattern']}`"


def _named(schema: dict[str, Any]) -> str:
    found = str(schema.get("type", "any"))
    match schema:
        case {"type": "array", "prefixItems": list(items)}:
            found = f"[{', '.join(_kind(item) for item in items)}]"
        case {"type": "array", "items": dict(item)}:
            found = f"list of {_kind(item)}"
        case {"type": "object", "additionalProperties": dict(value)}:
            found = f"object of {_kind(value)}"
        case {"type": "object", "properties": dict(fields)}:
            found = "object with " + ", ".join(f"`{field}`" for field in fields)
        case {"format": "binary"}:
            found = "bytes"
    return found


def _literal(value: object) -> str:
    return json.dumps(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(MARKED.inserted(PAGE.read_text(), rendered(document())))
