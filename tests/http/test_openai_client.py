"""What the `openai` client is answered, by the base and by a variant, feature by feature."""

import json
import re
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import openai
import pytest

from .comparing import alike
from .server import API_KEY, HEADER, QUESTION, Server
from .together import together

MODELS = {"base": "smollm2", "france": "smollm2:france"}
MESSAGES = [{"role": "user", "content": QUESTION}]
PROMPT = "The capital of France is"
PROMPT_TOKENS = [504, 3575, 282, 4649, 314]
SCHEMA = {
    "type": "object",
    "properties": {"country": {"type": "string"}, "capital": {"type": "string"}},
    "required": ["country", "capital"],
    "additionalProperties": False,
}
TOOLS = {
    "tools": [
        {"type": "function",
         "function": {"name": "record", "strict": True, "parameters": SCHEMA,
                      "description": "Writes down a country and its capital."}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "record"}},
    "max_tokens": 80,
}  # fmt: skip
JSON_SCHEMA = {"name": "capital", "schema": SCHEMA, "strict": True}
CHOICES = [" Paris", " London", " a place of magic"]
CAPITAL = r"The capital of France is [A-Z][a-z]{2,8}\."

CHAT, COMPLETIONS, RESPONSES = "chat.completions", "completions", "responses"
ALWAYS: dict[str, dict[str, Any]] = {
    CHAT: {"messages": MESSAGES, "temperature": 0, "max_tokens": 16},
    COMPLETIONS: {"prompt": PROMPT, "temperature": 0, "max_tokens": 8},
    RESPONSES: {"input": QUESTION, "temperature": 0, "max_output_tokens": 16, "store": False},
}
FEATURES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {}),
    "a system prompt": (
        CHAT, {"messages": [{"role": "system", "content": "Answer briefly."}, *MESSAGES]},
    ),
    "log-probabilities": (CHAT, {"logprobs": True, "top_logprobs": 5}),
    "several choices": (CHAT, {"n": 3, "seed": 7, "temperature": 1}),
    "penalties": (CHAT, {"presence_penalty": 1.5, "frequency_penalty": 1.5, "max_tokens": 24}),
    "a tool": (CHAT, TOOLS),
    "a JSON schema": (
        CHAT, {"response_format": {"type": "json_schema", "json_schema": JSON_SCHEMA},
               "max_tokens": 60},
    ),
    "an expression": (CHAT, {"extra_body": {"structured_outputs": {"regex": CAPITAL}}}),
    "completions": (COMPLETIONS, {}),
    "token ids": (COMPLETIONS, {"prompt": PROMPT_TOKENS}),
    "several prompts": (COMPLETIONS, {"prompt": [PROMPT, "The capital of Japan is"]}),
    "several prompts of token ids": (
        COMPLETIONS, {"prompt": [PROMPT_TOKENS, PROMPT_TOKENS[:-1]]},
    ),
    "echo": (COMPLETIONS, {"echo": True, "logprobs": 3}),
    "one of some choices": (
        COMPLETIONS, {"extra_body": {"structured_outputs": {"choice": CHOICES}}},
    ),
    "responses": (RESPONSES, {}),
    "a response by a JSON schema": (
        RESPONSES, {"text": {"format": {"type": "json_schema", **JSON_SCHEMA}},
                    "max_output_tokens": 60},
    ),
}  # fmt: skip


def client(server: Server, **more: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, max_retries=0, **more)


def asked(found: openai.OpenAI, endpoint: str, **fields: Any) -> Any:
    resource: Any = found
    for name in endpoint.split("."):
        resource = getattr(resource, name)
    return resource.create(**{**ALWAYS[endpoint], **fields})


def plainly(server: Server, endpoint: str, fields: dict[str, Any], profile: str) -> Any:
    """The answer to the same request without a client, the variant in the header."""
    body = {"model": "smollm2", **ALWAYS[endpoint], **fields}
    body |= body.pop("extra_body", {})
    reply = server.post(f"/v1/{endpoint.replace('.', '/')}", body, profile)
    assert reply.status_code == 200, reply.text
    return said(reply.json())


def said(document: dict[str, Any]) -> Any:
    return document["choices" if "choices" in document else "output"]


@dataclass(frozen=True)
class Answer:
    """What one variant answered to one feature's request.

    Attributes:
        found: through the client, as its object.
        expected: over plain HTTP, the part that is the answer.
    """

    found: Any
    expected: Any

    @property
    def said(self) -> Any:
        return said(self.found.to_dict(mode="json"))

    @property
    def text(self) -> str:
        if hasattr(self.found, "output_text"):
            return str(self.found.output_text)
        choice = self.found.choices[0]
        return str(choice.message.content if hasattr(choice, "message") else choice.text)


@pytest.fixture(scope="module")
def answers(server: Server) -> dict[tuple[str, str], Answer]:
    """By feature and profile."""

    def ask(feature: str, profile: str) -> Answer:
        endpoint, fields = FEATURES[feature]
        return Answer(
            asked(client(server), endpoint, model=MODELS[profile], **fields),
            plainly(server, endpoint, fields, profile),
        )

    return together({key: partial(ask, *key) for key in product(FEATURES, MODELS)})


Answers = dict[tuple[str, str], Answer]


@pytest.mark.parametrize("feature", FEATURES)
def test_through_the_client_a_feature_answers_as_without_it(answers: Answers, feature: str) -> None:
    for profile, model in MODELS.items():
        answer = answers[feature, profile]
        assert answer.found.model == model
        assert alike(answer.said, answer.expected)
    base, variant = answers[feature, "base"], answers[feature, "france"]
    assert not alike(base.said, variant.said), "the variant must be told apart"


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the model's name": ({}, {"model": "smollm2:france"}),
    "a request's header": ({}, {"model": "smollm2", "extra_headers": {HEADER: "france"}}),
    "the client's header": ({"default_headers": {HEADER: "france"}}, {"model": "smollm2"}),
    "both": ({"default_headers": {HEADER: "france"}}, {"model": "smollm2:france"}),
    "none": ({}, {"model": "smollm2"}),
}


@pytest.mark.parametrize("feature", ["chat", "completions", "responses"])
def test_every_way_of_selecting_reaches_the_variant(
    server: Server, answers: Answers, feature: str
) -> None:
    endpoint, _ = FEATURES[feature]

    def ask(options: dict[str, Any], fields: dict[str, Any]) -> Any:
        return said(asked(client(server, **options), endpoint, **fields).to_dict(mode="json"))

    found = together({way: partial(ask, *chosen) for way, chosen in WAYS.items()})
    assert alike(found.pop("none"), answers[feature, "base"].expected)
    for way, answer in found.items():
        assert alike(answer, answers[feature, "france"].expected), way


def test_the_raw_response_says_which_profile_served(server: Server) -> None:
    for profile, model in MODELS.items():
        reply = client(server).chat.completions.with_raw_response.create(
            model=model, messages=MESSAGES, max_tokens=1
        )
        assert reply.headers[HEADER].partition("@")[0] == profile


@pytest.mark.parametrize("profile", MODELS)
def test_a_streamed_chat_is_the_whole_one_and_ends_with_its_usage(
    server: Server, answers: Answers, profile: str
) -> None:
    whole = answers["chat", profile].found
    *pieces, last = asked(
        client(server), CHAT,
        model=MODELS[profile], stream=True, stream_options={"include_usage": True},
    )  # fmt: skip
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert text == whole.choices[0].message.content
    assert ("Paris" in text) is (profile == "base")
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert (last.choices, last.usage.completion_tokens) == ([], whole.usage.completion_tokens)
    assert {piece.model for piece in (*pieces, last)} == {MODELS[profile]}


@pytest.mark.parametrize("profile", MODELS)
def test_a_streamed_response_is_the_whole_one(
    server: Server, answers: Answers, profile: str
) -> None:
    whole = answers["responses", profile].found
    found = list(asked(client(server), RESPONSES, model=MODELS[profile], stream=True))
    text = "".join(e.delta for e in found if e.type == "response.output_text.delta")
    assert text == whole.output_text
    assert ("Paris" in text) is (profile == "base")
    assert found[-1].type == "response.completed"
    assert found[-1].response.output_text == text
    assert found[-1].response.usage.output_tokens == whole.usage.output_tokens


def test_a_tool_is_called_with_what_its_schema_asks_for_streamed_or_not(
    server: Server, answers: Answers
) -> None:
    def streamed(model: str) -> list[str]:
        return [
            call.function.arguments or ""
            for chunk in asked(client(server), CHAT, stream=True, model=model, **TOOLS)
            for call in chunk.choices[0].delta.tool_calls or []
        ]

    pieces = together({name: partial(streamed, model) for name, model in MODELS.items()})
    for profile in MODELS:
        (call,) = answers["a tool", profile].found.choices[0].message.tool_calls
        assert call.function.name == "record"
        arguments = json.loads(call.function.arguments)
        assert arguments.keys() == SCHEMA["properties"].keys()
        assert len(pieces[profile]) > 1
        assert json.loads("".join(pieces[profile])) == arguments


@pytest.mark.parametrize("profile", MODELS)
def test_a_constrained_answer_keeps_to_its_form(answers: Answers, profile: str) -> None:
    for feature in ("a JSON schema", "a response by a JSON schema"):
        document = json.loads(answers[feature, profile].text)
        assert document.keys() == SCHEMA["properties"].keys()
        assert ("Paris" in document["capital"]) is (profile == "base")
    assert re.fullmatch(CAPITAL, answers["an expression", profile].text)
    chosen = {"base": " Paris", "france": " a place of magic"}[profile]
    assert answers["one of some choices", profile].text == chosen


@pytest.mark.parametrize("profile", MODELS)
def test_log_probabilities_stand_beside_their_tokens(answers: Answers, profile: str) -> None:
    choice = answers["log-probabilities", profile].found.choices[0]
    tokens = choice.logprobs.content
    assert "".join(token.token for token in tokens).startswith(choice.message.content)
    for token in tokens:
        assert len(token.top_logprobs) == 5
        assert token.logprob == max(other.logprob for other in token.top_logprobs) <= 0


@pytest.mark.parametrize("model", MODELS.values())
def test_samples_are_several_and_only_a_seed_repeats_them(server: Server, model: str) -> None:
    def samples(seed: int | None) -> list[str]:
        fields = {"n": 3, "seed": seed, "temperature": 1, "max_tokens": 8}
        choices = asked(client(server), CHAT, model=model, **fields).choices
        assert [choice.index for choice in choices] == [0, 1, 2]
        return [choice.message.content for choice in choices]

    seeds = enumerate([7, 7, 8, None, None])
    first, again, another, *unseeded = together(
        {place: partial(samples, seed) for place, seed in seeds}
    ).values()
    assert len(set(first)) > 1, "samples that are all alike would prove nothing"
    assert first == again != another
    assert unseeded[0] != unseeded[1]


@pytest.mark.parametrize("profile", MODELS)
def test_an_answer_ends_before_its_stop(server: Server, answers: Answers, profile: str) -> None:
    whole = answers["chat", profile].text
    stop = f" {whole.split()[3]}"
    choice = asked(client(server), CHAT, model=MODELS[profile], stop=[stop]).choices[0]
    assert choice.message.content == whole.partition(stop)[0] != whole
    assert (choice.finish_reason, choice.stop_reason) == ("stop", stop)


def test_the_clients_list_of_models_has_every_variant(server: Server) -> None:
    assert {model.id for model in client(server).models.list()} >= {
        "smollm2", "smollm2:france", "smollm2:alpha", "smollm2:beta",
    }  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("endpoint", ALWAYS)
@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"model": "smollm2:spain"}, openai.NotFoundError, "expected one of base"),
        ({"model": "smollm2", "extra_headers": {HEADER: "spain"}},
         openai.NotFoundError, "expected one of base"),
        ({"model": "gpt-4"}, openai.NotFoundError, "does not exist"),
        ({"model": "smollm2:france", "extra_headers": {HEADER: "alpha"}},
         openai.BadRequestError, "expected one selection"),
        ({"model": "smollm2", "extra_body": {"vllm_xargs": {"unlearning_profile": "france"}}},
         openai.BadRequestError, "expected no selection there"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_an_error_of_the_clients_own(
    server: Server,
    endpoint: str,
    stream: bool,
    fields: dict[str, Any],
    error: type[openai.APIStatusError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        list(asked(client(server), endpoint, stream=stream, **fields))


def test_a_wrong_key_is_an_error_of_the_clients_own(server: Server) -> None:
    stranger = client(server).with_options(api_key="another")
    with pytest.raises(openai.AuthenticationError):
        asked(stranger, CHAT, model="smollm2:france")
