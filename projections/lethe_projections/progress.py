"""How far a pass over text is and how long it will take: a bar on a terminal, else a line at times.

Time is reckoned by tokens, since texts differ in length. Knows nothing of models.
"""

import sys
import time
from collections.abc import Callable, Sized
from contextlib import ExitStack
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

EVERY_S = 10.0
"""Seconds between two lines where there is no terminal."""


class Progress:
    """Shown on stderr from `with` on, if asked for.

        with Progress(texts, "reading retain text", shown=True) as progress:
            progress.expect(2, 70)
            progress.advance(1, 30)

    Attributes:
        done: texts.
        total: texts, or None where nobody knows.
    """

    def __init__(
        self,
        texts: object,
        what: str,
        shown: bool,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "texts",
    ) -> None:
        """Starts the clock.

        Args:
            texts: what will be read; its length is asked for, if it has one.
            what: one or more words, such as "reading retain text".
            shown: whether to show anything.
            clock: seconds.
            unit: what is counted.
        """
        self.done = 0
        self.total = len(texts) if isinstance(texts, Sized) else None
        self._what, self._shown, self._unit, self._clock = what, shown, unit, clock
        self._start = self._last = clock()
        self._expected_texts = self._expected = self._read = self._skipped = 0
        self._show: Callable[[], None] = self._line
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._shown and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn())
            bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._stack.enter_context(bar)
            task = bar.add_task(self._what, total=None)
            self._show = lambda: bar.update(
                task, description=str(self), completed=self._worked, total=self._work
            )
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    def expect(self, texts: int, tokens: int) -> None:
        """These will be read next; later ones are taken to be as long."""
        self._expected_texts += texts
        self._expected += tokens

    def skip(self, texts: int, tokens: int = 0) -> None:
        """These need not be read, so they tell nothing of the speed."""
        self.done += texts
        self._skipped += tokens

    def advance(self, texts: int, tokens: int) -> None:
        """These were read."""
        self.done += texts
        self._read += tokens
        if self._shown:
            self._show()

    @property
    def seconds_left(self) -> float | None:
        """At the speed so far, or None where it is not known."""
        if self._work is None or not self._read:
            return None
        return (self._work - self._worked) / self._read * (self._clock() - self._start)

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        left = self.seconds_left
        estimate = "" if left is None else f", about {left:.0f} s left"
        return f"{self._what}: {self.done}{of} {self._unit}{estimate}"

    @property
    def _worked(self) -> int:
        return self._read + self._skipped

    @property
    def _work(self) -> float | None:
        if self.total is None or not self._expected_texts:
            return None
        return self._expected * self.total / self._expected_texts

    def _line(self) -> None:
        if self._clock() - self._last >= EVERY_S:
            self._last = self._clock()
            print(f"lethe: {self}", file=sys.stderr, flush=True)
