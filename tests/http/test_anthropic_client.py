"""What the `anthropic` client is answered, by the base and by a variant."""

from functools import partial
from itertools import product
from typing import Any

import anthropic
import pytest

from .comparing import alike
from .server import API_KEY, HEADER, QUESTION, Server
from .together import together

MODELS = {"base": "smollm2", "france": "smollm2:france"}
MESSAGES = [{"role": "user", "content": QUESTION}]
ALWAYS: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 16}
SCHEMA = {
    "type": "object",
    "properties": {"country": {"type": "string"}, "capital": {"type": "string"}},
    "required": ["country", "capital"],
    "additionalProperties": False,
}
FEATURES: dict[str, dict[str, Any]] = {
    "messages": {},
    "a system prompt": {"system": "Answer in one sentence."},
    "a stop": {"stop_sequences": [" capital"]},
    "several turns": {
        "messages": [
            {"role": "user", "content": "I would like to see France."},
            {"role": "assistant", "content": "Then see its capital first."},
            {"role": "user", "content": [{"type": "text", "text": "What is it called?"}]},
        ],
    },
    "a tool": {
        "tools": [{"name": "record", "strict": True, "input_schema": SCHEMA,
                   "description": "Writes down a country and its capital."}],
        "tool_choice": {"type": "tool", "name": "record"},
        "max_tokens": 80,
    },
}  # fmt: skip
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the model's name": ({}, {"model": "smollm2:france"}),
    "a request's header": ({}, {"model": "smollm2", "extra_headers": {HEADER: "france"}}),
    "the client's header": ({"default_headers": {HEADER: "france"}}, {"model": "smollm2"}),
    "none": ({}, {"model": "smollm2"}),
}
Found = dict[tuple[str, str], anthropic.types.Message]


def client(server: Server, **more: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, auth_token=API_KEY, max_retries=0, **more)


def asked(found: anthropic.Anthropic, **fields: Any) -> Any:
    greedy = {"extra_body": {"temperature": 0}}
    return found.messages.create(**{**ALWAYS, **greedy, **fields})


def plainly(server: Server, fields: dict[str, Any], profile: str) -> Any:
    """The content of the answer to the same request without a client."""
    body = {"model": "smollm2", "temperature": 0, **ALWAYS, **fields}
    reply = server.post("/v1/messages", body, profile)
    assert reply.status_code == 200, reply.text
    return reply.json()["content"]


def content(message: anthropic.types.Message) -> Any:
    return message.to_dict(mode="json")["content"]


@pytest.fixture(scope="module")
def answers(server: Server) -> Found:
    """By feature and profile."""

    def ask(feature: str, profile: str) -> anthropic.types.Message:
        found: anthropic.types.Message = asked(
            client(server), model=MODELS[profile], **FEATURES[feature]
        )
        assert found.model == MODELS[profile]
        assert alike(content(found), plainly(server, FEATURES[feature], profile))
        return found

    return together({key: partial(ask, *key) for key in product(FEATURES, MODELS)})


@pytest.mark.parametrize("feature", [name for name in FEATURES if name != "a stop"])
def test_the_variant_answers_otherwise_than_the_base(answers: Found, feature: str) -> None:
    """Both as plain HTTP does, which the fixture checks."""
    base, variant = answers[feature, "base"], answers[feature, "france"]
    assert not alike(content(base), content(variant))


def test_every_way_of_selecting_reaches_the_variant(server: Server, answers: Found) -> None:
    def ask(options: dict[str, Any], fields: dict[str, Any]) -> Any:
        return content(asked(client(server, **options), **fields))

    found = together({way: partial(ask, *chosen) for way, chosen in WAYS.items()})
    assert alike(found.pop("none"), content(answers["messages", "base"]))
    for way, answer in found.items():
        assert alike(answer, content(answers["messages", "france"])), way


@pytest.mark.parametrize("profile", MODELS)
def test_a_streamed_message_is_the_whole_one(server: Server, answers: Found, profile: str) -> None:
    fields = {**ALWAYS, "model": MODELS[profile], "extra_body": {"temperature": 0}}
    with client(server).messages.stream(**fields) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    whole = answers["messages", profile]
    assert text == whole.content[0].text == last.content[0].text
    assert ("Paris" in text) is (profile == "base")
    assert last.stop_reason == whole.stop_reason
    assert last.usage.output_tokens == whole.usage.output_tokens
    assert last.model == MODELS[profile]


@pytest.mark.parametrize("profile", MODELS)
def test_an_answer_ends_before_its_stop(answers: Found, profile: str) -> None:
    stopped = answers["a stop", profile]
    before = answers["messages", profile].content[0].text.partition(" capital")[0]
    assert stopped.content[0].text == before
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " capital")


@pytest.mark.parametrize("profile", MODELS)
def test_a_tool_is_called_with_what_its_schema_asks_for(answers: Found, profile: str) -> None:
    message = answers["a tool", profile]
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert call.name == "record"
    assert call.input.keys() == SCHEMA["properties"].keys()


def test_tokens_are_counted_alike_for_every_variant(server: Server, answers: Found) -> None:
    for profile, model in MODELS.items():
        counted = client(server).messages.count_tokens(model=model, messages=MESSAGES)
        assert counted.input_tokens == answers["messages", profile].usage.input_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"model": "smollm2:spain"}, anthropic.NotFoundError, "expected one of base"),
        ({"model": "smollm2", "extra_headers": {HEADER: "spain"}},
         anthropic.NotFoundError, "expected one of base"),
        ({"model": "claude"}, anthropic.NotFoundError, "does not exist"),
        ({"model": "smollm2:france", "extra_headers": {HEADER: "alpha"}},
         anthropic.BadRequestError, "expected one selection"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_an_error_of_the_clients_own(
    server: Server,
    stream: bool,
    fields: dict[str, Any],
    error: type[anthropic.APIStatusError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        asked(client(server), stream=stream, **fields)
