"""A profile on a base of fewer bits than it was fitted on: is what it hides still hidden?

At each number of bits, known is what that base recovers without the edit: what rounding alone
destroys is not forgotten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from torch import nn

from lethe_projections import weight_rounding
from lethe_projections.errors import LetheError
from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_server.attacks import asking, result, shares
from lethe_server.attacks.document import Attack, Curve, Kind
from lethe_server.attacks.shares import Measured
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.work import Question, Work

WHOLE = 16
"""Bits that stand for the base as it is."""

SETS = ("forget", "neighbour", "unrelated")
SHARE = "recovered / known, known: by the base of that many bits without the edit"
STILL = "recovered by the base of that many bits, without the edit / by the base as it is"


@dataclass(frozen=True)
class Settings:
    """How.

    Attributes:
        bits: of a weight, beside the base as it is.
        group: see `weight_rounding.rounded`.
        forms: asked in; none for `asking.FORMS_ASKED`.
        max_tokens: of an answer.
    """

    bits: tuple[int, ...] = (8, 4)
    group: int = 64
    forms: tuple[str, ...] = ()
    max_tokens: int = 24

    def __post_init__(self) -> None:
        least = weight_rounding.LEAST_BITS
        if not self.bits or min(self.bits) < least or max(self.bits) >= WHOLE:
            raise LetheError(
                f"--bits: expected {least} to {WHOLE - 1}, found {', '.join(map(str, self.bits))}; "
                f"the base as it is, as {WHOLE}, is asked in any case"
            )


@dataclass(frozen=True)
class _Level:
    """What came back at one number of bits.

    Attributes:
        bits: of a weight.
        base: of every question, without the edit.
        known: the questions that it recovers.
        variant: of those, with the edit.
    """

    bits: int
    base: Sequence[Outcome]
    known: Sequence[Question]
    variant: Sequence[Outcome]

    def outcomes(self, name: str, form: str | None = None) -> list[Outcome]:
        """The variant's about one set, in one form if it is named."""
        both = zip(self.known, self.variant, strict=True)
        return [o for q, o in both if q.item.set == name and form in (None, o.form)]


def attack(
    answerer: InProcess, model: nn.Module, asked: Work, settings: Settings, shown: bool = True
) -> Attack:
    """Asks with every number of bits; afterwards the model's weights are what they were.

    Args:
        answerer: the base and the variant.
        model: the answerer's.
        asked: what.
        settings: how.
        shown: whether to say on stderr how far it is.

    Raises:
        LetheError: the base knows nothing of what should be forgotten, or has no such form.
        IncompatibleError: see `weight_rounding.matrices`.
    """
    weight_rounding.matrices(model)
    questions = asking.about(asked, settings.forms, *SETS)
    whole = _level(answerer, questions, WHOLE, shown)
    if not whole.outcomes("forget"):
        raise LetheError(
            "quantisation: expected the base to know something of what should be forgotten, found "
            "that it answers no prompt; take suites, forms or subjects that it knows"
        )
    levels = [whole]
    for bits in sorted(set(settings.bits), reverse=True):
        with weight_rounding.fewer_bits(model, bits, settings.group):
            levels.append(_level(answerer, questions, bits, shown))
    return result.attack(
        Kind.QUANTISATION,
        (answerer.subject, asked),
        {
            **asdict(settings),
            "bits": ", ".join(map(str, sorted(set(settings.bits)))),
            "forms": ", ".join(settings.forms or asking.FORMS_ASKED),
        },
        "bits of a weight",
        _curves(levels[::-1], questions, shares.chance(asked)),
    )


def _level(answerer: InProcess, questions: Sequence[Question], bits: int, shown: bool) -> _Level:
    what = f"{bits} bits, asking"
    base = asking.outcomes(answerer, questions, False, f"{what} the base", shown)
    known = asking.recovered(questions, base)
    variant = asking.outcomes(answerer, known, True, f"{what} {answerer.subject.profile}", shown)
    return _Level(bits, base, known, variant)


def _curves(
    levels: Sequence[_Level], questions: Sequence[Question], chance: shares.Chance
) -> Iterator[Curve | None]:
    """Of levels by rising bits, the last the base as it is."""

    def measured(name: str, form: str | None = None) -> Measured:
        return [(level.bits, level.outcomes(name, form)) for level in levels]

    yield shares.worst("worst form of forget", SHARE, measured("forget"), chance)
    yield shares.together("neighbours", SHARE, measured("neighbour"))
    yield shares.together("unrelated facts", SHARE, measured("unrelated"))
    still = [(level.bits, _still(level, levels[-1])) for level in levels]
    yield shares.together("base without the edit, still known", STILL, still, control=True)
    for form in dict.fromkeys(one.prompt.form for one in questions):
        yield shares.form(f"forget: {form}", SHARE, measured("forget", form), chance)


def _still(level: _Level, whole: _Level) -> list[Outcome]:
    """The base's outcomes of what it knows as it is."""
    both = zip(level.base, whole.base, strict=True)
    return [now for now, before in both if before.recovered]
