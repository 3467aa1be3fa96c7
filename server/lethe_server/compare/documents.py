"""What a comparison is asked with and what it answers. Knows nothing of how it is made."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lethe_server.documents import Document

MAX_VARIANTS = 16

TokenId = Annotated[int, Field(ge=0, strict=True)]


class Sampling(Document):
    """How every answer is drawn; each field as in vLLM's own requests.

    Attributes:
        max_tokens: of each answer.
        temperature: 0 for the likeliest answer.
        seed: of the drawing.
        n: one answer a variant.
        min_tokens: of each answer.
        top_p: nucleus.
        top_k: how many likeliest tokens.
        min_p: share of the likeliest token's probability.
        stop: texts that end an answer.
        ignore_eos: go on past the end of the answer.
        frequency_penalty: by how often a token was written.
        presence_penalty: by whether it was.
        repetition_penalty: factor on what the prompt or the answer has.
    """

    max_tokens: int = Field(default=128, ge=1)
    min_tokens: int | None = Field(default=None, ge=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    ignore_eos: bool | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    n: Literal[1] = 1


class CompareRequest(Sampling):
    """What to ask of whom: `messages` or `prompt`, and the variants.

    Attributes:
        messages: a conversation, as in a chat completion.
        prompt: text or token ids, as in a completion.
        profiles: `NAME`, `NAME@DIGEST` or several joined by `+` each, `base` included if wanted.
        model: a served name of the base.
        stream: whether to send the answers as they come.
        score: whether to measure each variant against the base, on the base's answer.
    """

    messages: list[dict[str, Any]] | None = Field(default=None, min_length=1)
    prompt: Annotated[str, Field(min_length=1)] | list[TokenId] | None = None
    profiles: list[str] = Field(min_length=1, max_length=MAX_VARIANTS)
    model: str | None = None
    stream: bool = False
    score: bool = False

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        found = [name for name in ("messages", "prompt") if getattr(self, name) is not None]
        if len(found) != 1:
            raise ValueError(
                "expected either 'messages' or 'prompt', found "
                f"{' and '.join(found) or 'neither'}; send one of them"
            )
        if self.prompt == []:
            raise ValueError("prompt: expected one token id or more, found none; send some")
        return self


class Named(Document):
    """The variant that something is of.

    Attributes:
        profile: its name.
        digest: sha256 of its artifact; null for the base.
    """

    profile: str
    digest: str | None


class Result(Named):
    """One variant's answer.

    Attributes:
        text: of the answer.
        finish_reason: as in vLLM's own answers.
        usage: tokens, the same.
        latency_ms: wall time, with all of them running at once.
    """

    text: str
    finish_reason: str
    usage: dict[str, Any]
    latency_ms: float


class Reference(Document):
    """The base's answer, token by token, as it is scored: the token that ends it is part of it.

    Attributes:
        text: of the answer.
        token_ids: what the base generated.
        tokens: the same, as text.
        logprobs: natural logarithms of what the base gives each, by itself and given what is
            before it; neither temperature nor penalties count.
        mean_logprob: their mean.
        perplexity: exp(-mean); null where that is no finite number.
    """

    text: str
    token_ids: list[int]
    tokens: list[str]
    logprobs: list[float]
    mean_logprob: float
    perplexity: float | None


class VariantScore(Named):
    """One variant on the base's answer.

    Attributes:
        logprobs: what the variant gives each token of it.
        mean_logprob: their mean.
        perplexity: exp(-mean); null where that is no finite number.
        mean_logprob_difference: the variant's mean less the base's.
        kl_lower_bound: in nats, token by token, at most KL(base || variant); see `divergence`.
        mean_kl_lower_bound: their mean.
        rouge_l: F1 of the variant's own answer against the base's; see
            `lethe_projections.evaluation.metrics.rouge`.
    """

    logprobs: list[float]
    mean_logprob: float
    perplexity: float | None
    mean_logprob_difference: float
    kl_lower_bound: list[float]
    mean_kl_lower_bound: float
    rouge_l: float


class Scores(Document):
    """Every variant against the base.

    Attributes:
        top_logprobs: how many likeliest tokens of each the bounds are from.
        reference: the base's answer.
        variants: in the order asked.
    """

    object: Literal["unlearning.comparison.scores"] = "unlearning.comparison.scores"
    top_logprobs: int
    reference: Reference
    variants: list[VariantScore]


class Comparison(Document):
    """The answers.

    Attributes:
        model: the base's served name.
        results: in the order asked.
        scores: null unless asked for.
    """

    object: Literal["unlearning.comparison"] = "unlearning.comparison"
    model: str
    results: list[Result]
    scores: Scores | None = None


class Delta(Named):
    """Of a stream: the next piece of one variant's answer, as in OpenAI's.

    Attributes:
        index: the variant's place among the profiles asked.
    """

    object: Literal["unlearning.comparison.delta"] = "unlearning.comparison.delta"
    index: int
    delta: dict[str, Any]


class Finished(Named):
    """Of a stream: the end of one variant's answer."""

    object: Literal["unlearning.comparison.finished"] = "unlearning.comparison.finished"
    index: int
    finish_reason: str
    usage: dict[str, Any]
    latency_ms: float


class Failed(Named):
    """Of a stream: one variant's error, in OpenAI's form; the others go on.

    After the variant's end it is of its scores.

    Attributes:
        index: None for a base that was asked for the scores alone; without its answer there are
            no scores.
    """

    object: Literal["unlearning.comparison.error"] = "unlearning.comparison.error"
    index: int | None
    error: dict[str, Any]
