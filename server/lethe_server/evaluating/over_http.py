"""Answers by a running server, through the routes that its clients use: what is served, measured.

The variant is asked for by its digest, and every answer has to say that it is of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.examples import Example
from lethe_server.asking import HEADER
from lethe_server.client import Client, ServerError
from lethe_server.evaluating import conversing
from lethe_server.evaluating.answering import Answered, Diverged, Subject, Told, options
from lethe_server.evaluating.at_once import each
from lethe_server.evaluating.reading import Reading, diverged

CHAT, COMPLETION, TOKENIZE = "/v1/chat/completions", "/v1/completions", "/tokenize"
BASE = "base"

GREEDY = {
    "temperature": 0,
    "top_p": 1,
    "top_k": 0,
    "min_p": 0,
    "repetition_penalty": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}
"""Said, since a server otherwise takes what the model's generation_config.json has."""

_UNREAD = (
    "the profile edits prompts and answers differently, and a server reads a given text as prompt: "
    "evaluate it with --offline"
)
_DIVERGENCE = (
    "KL(base || variant) a token in nats, a lower bound: over the {top} likeliest tokens told by "
    "both and one bucket for all others"
)


@dataclass(frozen=True)
class Settings:
    """How it is asked.

    Attributes:
        max_tokens: of an answer.
        jobs: requests at once.
        top_logprobs: how many likeliest tokens the server is to tell, as it was started to.
    """

    max_tokens: int = 24
    jobs: int = 8
    top_logprobs: int = 20


@dataclass(frozen=True)
class _Tokens:
    """A given text, and where the part of it that is read begins."""

    ids: list[int]
    begin: int


class OverHttp:
    """An `Answerer`: a profile of a server, and its base."""

    def __init__(self, client: Client, profile: str, settings: Settings) -> None:
        """Asks what the profile is.

        Raises:
            ServerError: there is no such server, or no such profile of it.
        """
        self._client, self._settings = client, settings
        self._tokenised: dict[Example, _Tokens] = {}
        found = client.get(f"/v1/unlearning/profiles/{quote(profile, safe='')}")
        self._model = _base_name(client)
        scoped = set(found["scopes"]) - {"all"}
        self.subject = Subject(
            profile=profile,
            digest=found["digest"],
            method=found["method"],
            model=found["base"]["fingerprint"],
            by="http",
            engine=f"vllm {client.get('/version')['version']}",
            dtype=_dtype(found["engine"]),
            template=self._template(),
            unread=_UNREAD if scoped else "",
            divergence=_DIVERGENCE.format(top=settings.top_logprobs),
        )

    def answers(self, prompts: Sequence[Prompt], edited: bool) -> Told[Prompt, Answered]:
        """See `Answerer`."""

        def answer(prompt: Prompt) -> Answered:
            return self._ranked(prompt, edited) if prompt.wrong else self._said(prompt, edited)

        return each(answer, prompts, self._settings.jobs)

    def readable(self, texts: Sequence[Example]) -> tuple[Example, ...]:
        """See `Answerer`."""
        found = dict(each(self._tokens, texts, self._settings.jobs))
        return tuple(text for text in texts if found[text].begin < len(found[text].ids))

    def divergences(self, texts: Sequence[Example]) -> Told[Example, Diverged]:
        """See `Answerer`."""

        def compare(text: Example) -> Diverged:
            found, top = self._tokens(text), self._settings.top_logprobs
            return diverged(*(self._read(found.ids, found.begin, top, e) for e in (False, True)))

        return each(compare, texts, self._settings.jobs)

    def _said(self, prompt: Prompt, edited: bool) -> Answered:
        path = CHAT if conversing.is_chat(prompt) else COMPLETION
        body = {**conversing.of_prompt(prompt), "max_tokens": self._settings.max_tokens}
        [choice] = self._ask(path, {**body, **GREEDY}, edited)["choices"]
        return Answered(text=_text(choice))

    def _ranked(self, prompt: Prompt, edited: bool) -> Answered:
        before = self._ids(conversing.of_prompt(prompt))
        readings = []
        for option in options(prompt):
            ids = self._ids(conversing.of_prompt(prompt, option))
            readings.append(self._read(ids, conversing.begin(ids, before), 1, edited))
        means = tuple(one.mean for one in readings)
        return Answered(likelihoods=means, strength=readings[0].strength)

    def _read(self, ids: Sequence[int], begin: int, top: int, edited: bool) -> Reading:
        # vLLM generates one token at least.
        body = {"prompt": list(ids), "prompt_logprobs": top, "max_tokens": 1, **GREEDY}
        [choice] = self._ask(COMPLETION, body, edited)["choices"]
        try:
            return Reading.parse(ids, begin, choice["prompt_logprobs"])
        except (ValueError, LookupError, TypeError) as error:
            raise ServerError(
                f"{self._client.url}: expected the log-probabilities of a prompt, found {error!s}; "
                "is this a Lethe server, started without --logprobs-mode?"
            ) from error

    def _tokens(self, text: Example) -> "_Tokens":
        known = self._tokenised.get(text)
        if known is None:
            whole, before = conversing.of_text(text)
            ids = self._ids(whole)
            begin = conversing.begin(ids, None if before is None else self._ids(before))
            known = self._tokenised[text] = _Tokens(ids, begin)
        return known

    def _template(self) -> str | None:
        try:
            return conversing.fingerprint(self._ids(conversing.conversation(conversing.SAMPLE)))
        except ServerError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            # A base model without a template takes no conversation, but plain text.
            return None

    def _ids(self, body: Mapping[str, Any]) -> list[int]:
        found, _ = self._client.exchange(
            TOKENIZE, {"model": self._model, **body}, {HEADER: self._wanted(edited=False)}
        )
        ids: list[int] = found["tokens"]
        return ids

    def _ask(self, path: str, body: Mapping[str, Any], edited: bool) -> Any:
        headers = {HEADER: self._wanted(edited)}
        found, told = self._client.exchange(path, {"model": self._model, **body}, headers)
        self._check(told.get(HEADER), edited)
        return found

    def _wanted(self, edited: bool) -> str:
        return f"{self.subject.profile}@{self.subject.digest}" if edited else BASE

    def _check(self, served: str | None, edited: bool) -> None:
        subject = self.subject
        expected = f"{subject.profile}@{subject.digest[:12]}" if edited else BASE
        if served != expected:
            raise ServerError(
                f"{HEADER}: expected an answer of {expected}, found one of {served or 'nobody'}; "
                "if the profile was replaced meanwhile, evaluate anew"
            )


def _dtype(engine: Mapping[str, str | None]) -> str | None:
    """Of an engine's weights, with how they are quantised."""
    said = (engine["dtype"], engine["quantization"])
    return ", ".join(one for one in said if one) or None


def _base_name(client: Client) -> str:
    """What the server calls its base: the first model that has no parent."""
    models = client.get("/v1/models")["data"]
    names = [str(one["id"]) for one in models if not one.get("parent")]
    if not names:
        raise ServerError(
            f"{client.url}: expected a model without a parent, which is the base, found "
            f"{len(models)} with one; use a key that may use the base"
        )
    return names[0]


def _text(choice: Mapping[str, Any]) -> str:
    """All that a client is shown; what a model thinks aloud is part of it."""
    if "text" in choice:
        return str(choice["text"])
    message = choice["message"]
    thought = message.get("reasoning") or message.get("reasoning_content") or ""
    return str(thought) + str(message.get("content") or "")
