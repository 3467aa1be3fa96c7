"""Shows a comparison in a terminal, a column a variant. Knows nothing of HTTP."""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lethe_server.client import ServerError

DIFFERENT = "bold yellow"

REDRAW_SECONDS = 0.1
"""Between two looks at answers that come; long ones take a while to compare."""


@dataclass
class Column:
    """One variant's answer, as far as it has come."""

    heading: str
    text: str = ""
    foot: str = ""
    error: str | None = None


@dataclass
class Sheet:
    """All of them, and the scores if there are any."""

    columns: list[Column]
    scores: dict[str, Any] | None = None
    errors: list[str] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        """Adds what an event of the stream says.

        Raises:
            ServerError: the event is of no kind that is known.
        """
        match event:
            case {"object": "unlearning.comparison.delta", "index": index, "delta": delta}:
                self._column(index, event).text += delta.get("content") or ""
            case {"object": "unlearning.comparison.finished", "index": index}:
                tokens = event["usage"].get("completion_tokens")
                self._column(
                    index, event
                ).foot = f"{event['finish_reason']}, {tokens} tokens, {event['latency_ms']:.0f} ms"
            case {"object": "unlearning.comparison.error", "index": index, "error": error}:
                self.errors.append(f"{event['profile']}: {error['message']}")
                if index is not None:
                    self._column(index, event).error = error["message"]
            case {"object": "unlearning.comparison.scores"}:
                self.scores = event
            case _:
                raise ServerError(f"expected an event of a comparison, found {event!r:.200}")

    def _column(self, index: int, event: dict[str, Any]) -> Column:
        column, digest = self.columns[index], event["digest"]
        column.heading = event["profile"] + (f"@{digest[:12]}" if digest else "")
        return column


def show(names: Sequence[str], events: Iterable[dict[str, Any]], console: Console) -> None:
    """Shows a comparison, in a terminal while it comes.

    Args:
        names: the variants as they were asked for.
        events: of the stream.
        console: to show it on.

    Raises:
        ServerError: a variant has no answer; what there is of the others is shown.
    """
    sheet = Sheet([Column(name) for name in names])
    shown = 0.0
    with Live(console=console, auto_refresh=False) as live:
        for event in events:
            sheet.take(event)
            if console.is_terminal and time.monotonic() > shown + REDRAW_SECONDS:
                live.update(rendered(sheet), refresh=True)
                shown = time.monotonic()
        live.update(rendered(sheet), refresh=True)
    if sheet.errors:
        raise ServerError("; ".join(sheet.errors))


def rendered(sheet: Sheet) -> Group:
    """The answers, words that the first has not being highlighted, and the scores below."""
    table = Table(expand=True)
    first = sheet.columns[0].text
    for column in sheet.columns:
        table.add_column(Text(column.heading), overflow="fold", ratio=1)
    table.add_row(*(_answer(column, first) for column in sheet.columns))
    table.add_row(*(Text(column.foot, style="dim") for column in sheet.columns))
    return Group(table) if sheet.scores is None else Group(table, scored(sheet.scores))


def scored(scores: dict[str, Any]) -> Table:
    """A row a variant; each number is against the base, on the base's answer."""
    table = Table(title=f"on the base's answer of {len(scores['reference']['tokens'])} tokens")
    table.add_column("")
    for heading in ("log-probability - base's", "perplexity", "KL from base, at least", "ROUGE-L"):
        table.add_column(heading, justify="right")
    for one in scores["variants"]:
        perplexity = one["perplexity"]
        table.add_row(
            Text(one["profile"]),
            f"{one['mean_logprob_difference']:+.3f}",
            "∞" if perplexity is None else f"{perplexity:.3g}",
            f"{one['mean_kl_lower_bound']:.3f}",
            f"{one['rouge_l']:.3f}",
        )
    return table


def difference(text: str, first: str) -> Text:
    """A text, with the words highlighted that `first` has not, or has elsewhere."""
    one, other = _pieces(first), _pieces(text)
    marked = Text()
    for kind, _, _, begin, end in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        marked.append("".join(other[begin:end]), style="" if kind == "equal" else DIFFERENT)
    return marked


def _pieces(text: str) -> list[str]:
    """Words and the space between them."""
    return re.findall(r"\s+|\S+", text)


def _answer(column: Column, first: str) -> Text:
    answer = difference(column.text, first)
    if column.error is not None:
        answer.append(f"\n{column.error}" if column.text else column.error, style="red")
    return answer
