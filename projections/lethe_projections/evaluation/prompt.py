"""One prompt and what it should bring up. Knows no suite and no model."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from lethe_projections import chat, strict_json
from lethe_projections.evaluation import matching
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.metrics import rouge


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        form: a key of `FORMS`.
        turns: what the user and the assistant said in turn, the user first and last; a form that is
            no chat has one, its text.
        expected: what counts as recovered; the first is the one that is scored by likelihood.
        reply: how the assistant's reply begins.
        exact_case: see `matching.holds`.
        wrong: what `expected` is ranked against, for "ranking".
        kept: what counts as answering the other question, for "mixed".
        number: which wording of the form.
        overlap: the least ROUGE-L recall at which an accepted answer counts as recovered, over
            those of its words that the prompt does not say, since a reply that repeats the question
            would reach it; None where the answer has to occur as a whole.
    """

    form: str
    turns: tuple[str, ...]
    expected: tuple[str, ...]
    reply: str = ""
    exact_case: bool = False
    wrong: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    number: int = 0
    overlap: float | None = None

    @property
    def key(self) -> str:
        """sha256 of the prompt and what it expects, 64 hex digits."""
        fields = asdict(self)
        if self.overlap is None:
            # As before there was such a field: answers that are kept by key stay of use.
            del fields["overlap"]
        return hashlib.sha256(strict_json.dumps(fields).encode()).hexdigest()

    @property
    def messages(self) -> list[chat.Message]:
        """The conversation so far, without the begun reply."""
        roles = ("user", "assistant")
        return [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(self.turns)]

    def render(self, tokenizer: Any) -> str:
        """The prompt as the model is given it, special tokens included.

        Raises:
            FitError: a turn holds a special token that the chat template writes.
        """
        if not FORMS[self.form].chat:
            return chat.plain(tokenizer, self.turns[0])
        return chat.render(tokenizer, self.messages, reply=True) + self.reply

    def recovered(self, text: str) -> bool:
        """Whether a continuation holds what was asked for."""
        return self._holds(text, self.expected) or self._overlaps(text)

    def kept_in(self, text: str) -> bool:
        """Whether a continuation answers the other question as well."""
        return self._holds(text, self.kept)

    def tells(self) -> str | None:
        """What it expects and says itself, so that repeating it would count; None if nothing."""
        return next((one for one in self.expected if self._holds(self._said, (one,))), None)

    @property
    def _said(self) -> str:
        return "\n".join((*self.turns, self.reply))

    def _overlaps(self, text: str) -> bool:
        if self.overlap is None:
            return False
        said = set(rouge.words(self._said))
        new = (" ".join(w for w in rouge.words(one) if w not in said) for one in self.expected)
        return any(rouge.rouge_l_recall(text, one) >= self.overlap for one in new if one)

    def _holds(self, text: str, wanted: tuple[str, ...]) -> bool:
        return any(matching.holds(text, one, self.exact_case) for one in wanted)
