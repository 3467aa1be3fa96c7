"""What is probed: prompts about facts and text, as states of base and variant. Knows no probe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lethe_projections import chat, states
from lethe_projections.errors import LetheError
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.suite import Item
from lethe_projections.progress import Progress
from lethe_server.attacks import hidden
from lethe_server.attacks.hidden import Hidden, Text
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.work import Question, Work
from lethe_server.fitting import Checkpoint

FORMS_READ = ("question", "cloze", "fill_in", "prefix")
"""Unless told otherwise, those of them that the suites have."""

KEPT = ("neighbour", "unrelated")
LONGEST = 512
"""Tokens of a prompt."""


def questions(asked: Work, forms: Sequence[str]) -> list[Question]:
    """Those about what should be forgotten or kept, whose answer is the fact's.

    Args:
        asked: where they are.
        forms: which; none for `FORMS_READ`.

    Raises:
        LetheError: none of the suites has a form that is named; or there are none of some kind.
    """
    there = [one for one in asked.every() if not FORMS[one.prompt.form].reverse]
    there = [one for one in there if not one.prompt.wrong and one.item.set != "never_known"]
    known = sorted({one.prompt.form for one in there})
    if missing := [form for form in forms if form not in known]:
        raise LetheError(
            f"--form: expected one of {', '.join(known)}, found {', '.join(missing)!s:.200}; take "
            "forms that the suites have and that ask for the answer"
        )
    found = [one for one in there if one.prompt.form in (forms or FORMS_READ)]
    for what, sets in (("forgotten", ("forget",)), ("kept", KEPT)):
        if not any(one.item.set in sets for one in found):
            raise LetheError(
                f"probing: expected prompts about facts that should be {what}, found none in the "
                f"forms {', '.join(forms or FORMS_READ)}; take another suite, split or --form"
            )
    return found


@dataclass(frozen=True, eq=False)
class Options:
    """What a prompt may be answered with: the first tokens of the answers of its relation.

    Attributes:
        tokens: all of them, rising.
        by_relation: those of each suite's relations.
    """

    tokens: tuple[int, ...]
    by_relation: dict[tuple[str, str], frozenset[int]]
    tokenizer: Any

    @classmethod
    def of(cls, asked: Sequence[Question], tokenizer: Any) -> "Options":
        """Of all facts that are asked for.

        Raises:
            LetheError: a relation has one alone.
        """
        found: dict[tuple[str, str], set[int]] = {}
        for one in asked:
            found.setdefault(_relation(one), set()).add(_first(one.item, tokenizer))
        for (suite, relation), tokens in found.items():
            if len(tokens) < 2:
                raise LetheError(
                    f"{suite}: expected facts of the relation {relation} whose answers begin with "
                    "different tokens, found none; take more subjects, or another suite"
                )
        every = tuple(sorted(set[int]().union(*found.values())))
        return cls(every, {name: frozenset(one) for name, one in found.items()}, tokenizer)

    def allowed(self, asked: Sequence[Question]) -> Tensor:
        """[n, tokens] bool, those of each prompt's relation."""
        rows = [[token in self.by_relation[_relation(one)] for token in self.tokens]
                for one in asked]  # fmt: skip
        return torch.tensor(rows)

    def right(self, asked: Sequence[Question]) -> Tensor:
        """[n] int64, the place of each prompt's."""
        return torch.tensor([self.tokens.index(_first(one.item, self.tokenizer)) for one in asked])


class Reader:
    """Reads hidden states of base and variant, and what the base scores `options` in the end."""

    def __init__(
        self, answerer: InProcess, checkpoint: Checkpoint, options: Options, batch: int
    ) -> None:
        """Runs nothing yet.

        Args:
            answerer: whose profile.
            checkpoint: its base.
            options: which tokens are scored.
            batch: texts a pass.
        """
        self._answerer, self._checkpoint, self._batch = answerer, checkpoint, batch
        self._options = list(options.tokens)

    def prompts(self, asked: Sequence[Question], shown: bool) -> tuple[Hidden, Tensor]:
        """At the last token of each, in their order; and the scores, [n, options]."""
        tokenizer = self._checkpoint.tokenizer
        rendered = [one.prompt.render(tokenizer) for one in asked]
        encoded = chat.encode(tokenizer, rendered, LONGEST)
        texts = [Text(one.ids, len(one.ids) - 1) for one in encoded]
        parts = list(self._read(texts, "reading prompts", "prompts", shown))
        back = torch.tensor([place for part, _ in parts for place in part.texts]).argsort()
        scores = torch.cat([one for _, one in parts])[back]
        base, variant = (
            torch.cat([getattr(part, name) for part, _ in parts], dim=1)[:, back]
            for name in ("base", "variant")
        )
        return Hidden(tuple(range(len(asked))), base, variant, parts[0][0].final), scores

    def text(self, asked: Work, shown: bool) -> Iterator[tuple[Hidden, Tensor]]:
        """Part for part, at the tokens that predict what is read of each text; there is some."""
        rows = [self._answerer.text_row(one) for one in asked.texts]
        texts = [Text(row.ids[:-1], row.prompt - 1) for row in rows]
        return self._read(texts, "reading text", "texts", shown)

    def _read(
        self, texts: Sequence[Text], what: str, unit: str, shown: bool
    ) -> Iterator[tuple[Hidden, Tensor]]:
        model, profile = self._checkpoint.model, self._answerer.profile
        with Progress(texts, what, shown, unit=unit) as progress:
            progress.expect(len(texts), sum(len(one.ids) for one in texts))
            for part in hidden.read(model, texts, profile, self._batch):
                scores = states.logits(model, part.final.float())[:, self._options]
                yield part, scores.double()
                tokens = sum(len(texts[place].ids) for place in part.texts)
                progress.advance(len(part.texts), tokens)


def _relation(one: Question) -> tuple[str, str]:
    return one.suite.name, one.item.relation


def _first(item: Item, tokenizer: Any) -> int:
    """The first token of the usual answer, as it follows a word."""
    ids = tokenizer(f" {item.answers[0]}", add_special_tokens=False)["input_ids"]
    return int(ids[0])
