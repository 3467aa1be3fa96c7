"""What the OpenAPI document says of routes beyond the types of their functions.

Changes nothing that a route does.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path

from lethe_server.documents import Document

ProfileName = Annotated[
    str,
    Path(
        description="A profile's name: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, not `base`, "
        "starting with a letter or digit."
    ),
]
ExperimentName = Annotated[str, Path(description="An experiment's name, of the same form.")]


class ErrorDetail(Document):
    """What is wrong.

    Attributes:
        message: what was expected, what was found and what to do.
        type: OpenAI's name of the kind.
        param: always null.
        code: the HTTP status.
    """

    message: str
    type: str
    param: None
    code: int


class ErrorDocument(Document):
    """Every error, in OpenAI's form.

    Attributes:
        error: the one that came up first.
    """

    error: ErrorDetail


MEANINGS = {
    400: "The request is malformed or contradicts itself.",
    401: "The server asks for a key, and the request has none that it knows.",
    403: "The key, or the operator, does not permit this.",
    404: "There is no such name, version or digest.",
    409: "It conflicts with what is there: another base model, a pinned name, a missing site.",
    412: "A name means something else than `If-None-Match` or `If-Match` asks for.",
    413: "The body is larger than the server reads.",
    503: "A part that this needs does not answer: the engine, the store, the audit.",
}
"""By status, for any route that has it."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route: those of every route, and these.

    `default` stands for the rest. It also keeps FastAPI from announcing a 422, which vLLM
    answers as 400.
    """
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorDocument, "description": MEANINGS[status]}
        for status in sorted({401, 403, 503, *statuses})
    }
    found["default"] = {"model": ErrorDocument, "description": "Any other error."}
    return found


def created(model: type[Document]) -> dict[int | str, dict[str, Any]]:
    """The answer of a route whose name was not there before."""
    return {201: {"model": model, "description": "The name is new."}}


def body(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """A body that a route reads itself: a JSON schema by media type."""
    content = {media: {"schema": schema} for media, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}


def headers(said: Mapping[str, str]) -> dict[str, Any]:
    """Headers that a route reads itself, with what each does."""
    return {
        "parameters": [
            {"name": name, "in": "header", "description": what, "schema": {"type": "string"}}
            for name, what in said.items()
        ]
    }


def text(media_types: Mapping[str, str]) -> dict[int | str, dict[str, Any]]:
    """Successful answers that are no JSON documents: by media type, what stands there."""
    content = {
        media: {"schema": {"type": "string", "description": said}}
        for media, said in media_types.items()
    }
    return {200: {"description": "Successful Response", "content": content}}
