"""What an HTTP server process is told beside the engine's options, with which it travels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from lethe_vllm.errors import UnsupportedError


@dataclass(frozen=True)
class Settings:
    """How requests are treated before and after the engine has them; strings and numbers alone.

    Attributes:
        policy: path of the file that says which key may use what; None for no keys.
        sources: where a PUT may take artifacts from, as `Sources.permitted`.
    """

    policy: str | None = None
    sources: Sequence[str] = ()

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
