"""Puts together who watches a server process: its metrics, its log of requests and its audit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from lethe_server import access_log
from lethe_server.audit import Audit
from lethe_server.audit_file import AuditFile
from lethe_server.exchange import Observer
from lethe_server.figures import combined, named
from lethe_server.metrics import Metrics
from lethe_server.recent import Recent
from lethe_server.settings import Settings
from lethe_vllm.errors import UnavailableError
from lethe_vllm.frontend import Everyone, FrontEnd
from lethe_vllm.selection import BASE

logger = logging.getLogger("vllm.lethe")


async def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Watching:
    """Who watches.

    Attributes:
        observers: told of every request at its end.
        audit: of changes and requests.
        refresh: asks the engines for what metrics say of them, if that is a while ago.
    """

    observers: tuple[Observer, ...] = ()
    audit: Audit = field(default_factory=Audit)
    refresh: Callable[[], Awaitable[object]] = _nothing


def watching(settings: Settings, metrics: Metrics, front_end: FrontEnd, ask: Everyone) -> Watching:
    """Starts what `settings` ask for; metrics are always there.

    Raises:
        UnavailableError: the audit's file cannot be opened.
    """
    audit = Audit(_file(settings), settings.audit_rate, metrics.audit_lost.inc)
    front_end.catalogue.names.listen(audit.noticed)
    log = access_log.observer(settings.log)
    observers = (metrics.exchanged, audit.served, *(() if log is None else (log,)))
    figures = Recent(lambda: _told(metrics, front_end, ask), None)
    return Watching(observers, audit, figures.get)


def _file(settings: Settings) -> AuditFile | None:
    if settings.audit is None:
        return None
    try:
        return AuditFile(Path(settings.audit))
    except OSError as error:
        raise UnavailableError(
            f"--audit: expected a file that can be appended to, found {error}; not serving: name "
            "another, or make its folder"
        ) from error


async def _told(metrics: Metrics, front_end: FrontEnd, ask: Everyone) -> None:
    try:
        figures = combined(await ask("lethe_figures"))
        made = front_end.compositions.made
        names = await asyncio.to_thread(_names, front_end)
    except Exception as error:  # noqa: BLE001, whatever it is, serving goes on with older figures
        logger.warning("Metrics keep what the engines said before: %s", error)
        return
    metrics.keep({BASE, *names.values()})
    of_parts = {
        digest: "+".join(sorted(names[part] for part in parts))
        for digest, parts in made.items()
        if parts <= names.keys()
    }
    metrics.told(replace(figures, edited=named(figures, {**names, **of_parts})))


def _names(front_end: FrontEnd) -> dict[str, str]:
    """The name of each digest; the first of several."""
    found: dict[str, str] = {}
    for name, meaning in front_end.catalogue.names.all().items():
        found.setdefault(meaning.digest or "", name)
    return found
