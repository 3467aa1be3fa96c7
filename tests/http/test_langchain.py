"""What LangChain's models for OpenAI's API are answered, by the base and by a variant."""

import asyncio
from functools import partial
from typing import Any

import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel

from .server import API_KEY, HEADER, QUESTION, Server
from .together import together

PROMPT = "The capital of France is"
ELSEWHERE = "What is the capital of Japan?"
BASE = {"model": "smollm2"}
WAYS: dict[str, dict[str, Any]] = {
    "the model's name": {"model": "smollm2:france"},
    "a header": {"model": "smollm2", "default_headers": {HEADER: "france"}},
}


class Capital(BaseModel):
    """A country and its capital."""

    country: str
    capital: str


def settings(server: Server) -> dict[str, Any]:
    return {
        "base_url": f"{server.url}/v1", "api_key": API_KEY, "temperature": 0,
        "max_tokens": 16, "max_retries": 0,
    }  # fmt: skip


def chat(server: Server, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(**settings(server) | more)


@pytest.fixture(scope="module")
def expected(server: Server) -> dict[str, str]:
    """What each is answered over plain HTTP."""
    asked = {"base": None, "france": "france"}
    found = together(
        {name: partial(server.answer, QUESTION, asked[name], max_tokens=16) for name in asked}
    )
    assert "Paris" in found["base"]
    assert "Paris" not in found["france"]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_chat_model_is_the_variant_it_names(
    server: Server, expected: dict[str, str], way: str
) -> None:
    for fields, wanted in ((BASE, expected["base"]), (WAYS[way], expected["france"])):
        model = chat(server, **fields)
        whole = model.invoke(QUESTION)
        assert whole.content == wanted
        pieces = list(model.stream(QUESTION))
        assert len(pieces) > 2
        assert "".join(piece.content for piece in pieces) == wanted


def test_chat_models_used_at_once_are_each_the_variant_it_names(
    server: Server, expected: dict[str, str]
) -> None:
    async def ask() -> list[Any]:
        models = [chat(server, **fields) for fields in (BASE, *WAYS.values())]
        return await asyncio.gather(*(model.ainvoke(QUESTION) for model in models))

    # One event loop: LangChain keeps its connections for the next model.
    base, *variants = asyncio.run(ask())
    assert base.content == expected["base"]
    assert {variant.content for variant in variants} == {expected["france"]}


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_is_of_one_variant(server: Server, expected: dict[str, str], way: str) -> None:
    for fields, wanted in ((BASE, expected["base"]), (WAYS[way], expected["france"])):
        first, second = chat(server, **fields).batch([QUESTION, ELSEWHERE])
        assert first.content == wanted
        assert "Tokyo" in second.content


@pytest.mark.parametrize("way", WAYS)
def test_a_completion_model_is_the_variant_it_names(server: Server, way: str) -> None:
    def plainly(profile: str) -> str:
        body = {"model": "smollm2", "prompt": PROMPT, "temperature": 0, "max_tokens": 16}
        reply = server.post("/v1/completions", body, profile)
        return str(reply.json()["choices"][0]["text"])

    base, variant = plainly("base"), plainly("france")
    assert base != variant
    assert OpenAI(**settings(server), **BASE).invoke(PROMPT) == base
    assert OpenAI(**settings(server), **WAYS[way]).invoke(PROMPT) == variant


def test_structured_output_is_the_variants_in_the_form_asked_for(server: Server) -> None:
    def ask(fields: dict[str, Any]) -> Any:
        model = chat(server, **fields, max_tokens=60)
        return model.with_structured_output(Capital, method="json_schema").invoke(QUESTION)

    chosen = {"base": BASE, **WAYS}
    found = together({way: partial(ask, fields) for way, fields in chosen.items()})
    assert all(isinstance(one, Capital) for one in found.values())
    base = found.pop("base")
    assert "Paris" in base.capital
    assert all("Paris" not in one.capital for one in found.values())
    assert len({one.model_dump_json() for one in found.values()}) == 1


def test_a_bound_tool_is_called(server: Server) -> None:
    def ask(fields: dict[str, Any]) -> Any:
        model = chat(server, **fields, max_tokens=80)
        bound = model.bind_tools([Capital], tool_choice="Capital", strict=True)
        (call,) = bound.invoke(QUESTION).tool_calls
        return call

    chosen = {"base": BASE, **WAYS}
    found = together({way: partial(ask, fields) for way, fields in chosen.items()})
    for call in found.values():
        assert (call["name"], call["args"].keys()) == ("Capital", {"country", "capital"})
    base = found.pop("base")
    assert all(call["args"] != base["args"] for call in found.values())


@pytest.mark.parametrize("fields", [{"model": "smollm2:spain"}, {"default_headers": {HEADER: "x"}}])
def test_an_unknown_profile_is_an_error(server: Server, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.NotFoundError, match="expected one of base"):
        chat(server, **{**BASE, **fields}).invoke(QUESTION)
