"""What an HTTP server process is told beside the engine's options, with which it travels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from lethe_server.permitted import place
from lethe_vllm.errors import UnsupportedError

LOGS = ("json", "text", "off")


@dataclass(frozen=True)
class Settings:
    """How requests are treated before and after the engine has them; strings and numbers alone.

    Attributes:
        policy: path of the file that says which key may use what; None for no keys.
        sources: where a PUT may take artifacts from: folders, or beginnings of URLs; afterwards as
            `Sources.permitted`.
        log: form of the line that each request is worth, or `off`.
        audit: file of who changed what, and which digest served which request; None for none.
        audit_requests: which requests stand there: `full`, `off`, or a share between 0 and 1.
    """

    policy: str | None = None
    sources: Sequence[str] = ()
    log: str = "off"
    audit: str | None = None
    audit_requests: str = "full"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(map(place, self.sources)))
        if self.log not in LOGS:
            raise UnsupportedError(
                f"--lethe-log: expected one of {', '.join(LOGS)}, found {self.log!r}; correct it"
            )
        if _rate(self.audit_requests) is None:
            raise UnsupportedError(
                "--audit-requests: expected full, off, or the share of requests to write as a "
                f"number between 0 and 1, found {self.audit_requests!r}; correct it"
            )

    @property
    def audit_rate(self) -> float:
        """The share of requests that stand in the audit."""
        return _rate(self.audit_requests) or 0.0

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Reads `Options.server`.

        Raises:
            UnsupportedError: a key that is not known.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise UnsupportedError(
                f"additional_config['lethe']['server']: expected keys among {sorted(known)}, "
                f"found {unknown}; see 'lethe serve --help'"
            )
        return cls(**value)


def _rate(requests: str) -> float | None:
    named = {"full": 1.0, "off": 0.0}
    try:
        share = named[requests] if requests in named else float(requests)
    except ValueError:
        return None
    return share if 0.0 <= share <= 1.0 else None
