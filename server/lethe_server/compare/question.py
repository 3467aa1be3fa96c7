"""What every variant of a comparison is asked: one of vLLM's routes, and one body for all."""

from dataclasses import dataclass
from typing import Any

from lethe_server.asking import profile_of
from lethe_server.compare.documents import CompareRequest, Sampling
from lethe_server.policy.caller import calling
from lethe_server.policy.decision import check_selection
from lethe_server.serving import Serving
from lethe_vllm.errors import SelectionError, UnsupportedError
from lethe_vllm.selection import BASE_VARIANT, Selection, Variant


@dataclass(frozen=True)
class Question:
    """A comparison that may begin.

    Attributes:
        path: of vLLM's route.
        body: for it, whichever the variant.
        model: a served name of the base.
        variants: in the order asked, each once.
        top_logprobs: tokens to score by; None for no scores.
    """

    path: str
    body: dict[str, Any]
    model: str
    variants: tuple[Variant, ...]
    top_logprobs: int | None

    @property
    def asked(self) -> tuple[Variant, ...]:
        """Who is asked: the variants, and after them the base if the scores alone need it."""
        if self.top_logprobs is None or BASE_VARIANT in self.variants:
            return self.variants
        return (*self.variants, BASE_VARIANT)


async def question_of(wanted: CompareRequest, serving: Serving) -> Question:
    """Checks a comparison and says what to ask.

    Raises:
        SelectionError: `model` names a variant, a profile is named twice or malformed, or what is
            asked cannot be scored.
        UnsupportedError: the engine tells no log-probabilities to score by.
        NotPermittedError: the caller may not use one of them.
        LetheError: a profile cannot be served.
    """
    model = wanted.model or serving.served[0]
    if profile_of(model, serving.served) is not None:
        raise SelectionError(
            f"model: expected a name of the base ({', '.join(serving.served)}), found "
            f"{model[:80]!r}; name the variants in 'profiles'"
        )
    selections = [Selection.parse(text) for text in wanted.profiles]
    # The scores ask the base, whether it is shown or not.
    for selection in [*selections, *([BASE_VARIANT.selection] if wanted.score else [])]:
        check_selection(calling.get(), selection)
    variants = [await serving.resolve(selection) for selection in selections]
    if len(set(variants)) < len(variants):
        raise SelectionError(
            f"profiles: expected each once, found {', '.join(wanted.profiles)[:200]}; remove one"
        )
    top_logprobs = await _scored_by(wanted, variants, serving) if wanted.score else None
    path = "/v1/completions" if wanted.messages is None else "/v1/chat/completions"
    return Question(path, _body(wanted, model), model, tuple(variants), top_logprobs)


def _body(wanted: CompareRequest, model: str) -> dict[str, Any]:
    passed_on = {"messages", "prompt", *Sampling.model_fields}
    return {
        **wanted.model_dump(include=passed_on, exclude_none=True),
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": wanted.score,
    }


async def _scored_by(wanted: CompareRequest, variants: list[Variant], serving: Serving) -> int:
    if serving.top_logprobs is None:
        raise UnsupportedError(
            "score: expected an engine that tells log-probabilities, found one started to tell "
            "logits; restart without --logprobs-mode, or leave 'score' out"
        )
    _check_is_text(wanted.messages or [])
    for variant in variants:
        if not variant.is_base and (await serving.profile(variant)).positional:
            raise SelectionError(
                "score: expected profiles that edit prompts and answers alike, since the base's "
                f"answer is read back as prompt, found {variant.name} with scopes; leave it or "
                "'score' out"
            )
    return serving.top_logprobs


def _check_is_text(messages: list[dict[str, Any]]) -> None:
    """Refuses what token ids do not hold."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            kind = part.get("type") if isinstance(part, dict) else part
            if kind != "text":
                raise SelectionError(
                    f"score: expected messages of text, found a part of type {str(kind)[:40]!r}; "
                    "leave it or 'score' out"
                )
