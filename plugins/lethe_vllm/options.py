"""Lethe's options for one engine, from `additional_config={"lethe": {...}}`.

An engine serves variants if and only if that key is there, or `VLLM_PLUGINS` names `lethe`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lethe_projections.projector import HOOKS, Site
from lethe_vllm.errors import UnsupportedError

if TYPE_CHECKING:
    from lethe_vllm.store.place import Place

CONFIG_KEY = "lethe"
DEFAULT_SITES = "mlp,down_proj"
"""The hooks that leave base traffic bit for bit stock vLLM's. `block` is not among them: it reads
the residual stream, which a graph compiled in half precision otherwise carries unrounded over
several blocks (bfloat16 on a CPU: 18 of 24 greedy answers equal to stock's)."""
DEFAULT_BANK_MB = 512
"""A rank-16 edit at four `down_proj` of a 7B model takes 2 MiB in bfloat16."""
WAIT, REFUSE = WHEN_FULL = ("wait", "refuse")
SITE_FORMAT = 1
"""Changes whenever the compiled graph of a site does: it is part of vLLM's compile-cache key."""


@dataclass(frozen=True)
class Declared:
    """The sites that an engine shall have.

    Attributes:
        sites: all of them.
        named: those declared by their layer, which the model must have. A hook without layers
            means wherever the model has it.
    """

    sites: frozenset[Site]
    named: frozenset[Site]


@dataclass(frozen=True)
class Options:
    """How one engine serves variants.

    Attributes:
        sites: hooks to install, comma-separated, each with an optional layer or inclusive range:
            `block:8-16,down_proj`. A profile that edits elsewhere is refused.
        profiles: folder of `NAME.safetensors`; None for a private, empty one.
        store: what keeps profiles and their history: a folder, or a database's URL; None for a
            folder in that of profiles.
        objects: where artifacts are kept, as fsspec's URLs; None for the store's folder.
        bank_mb: MiB that profiles' factors may take on each device. Those of further profiles
            wait in host memory until a request needs them.
        when_full: what becomes of a request whose profile has no room there, since running
            requests use all the others: `wait`, or `refuse` (503).
        server: settings of the HTTP server; they only travel with these.
    """

    sites: str = DEFAULT_SITES
    profiles: Path | None = None
    store: str | None = None
    objects: str | None = None
    bank_mb: int = DEFAULT_BANK_MB
    when_full: str = WAIT
    server: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Reads the value under `lethe`.

        Raises:
            UnsupportedError: not an object of the known keys.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(value, Mapping) or set(value) - known:
            raise UnsupportedError(
                f"additional_config['lethe']: expected an object with keys among "
                f"{', '.join(sorted(known))}, found {value!r}; see 'lethe serve --help'"
            )
        given = dict(value)
        if given.get("profiles") is not None:
            given["profiles"] = Path(given["profiles"])
        options = cls(**given)
        options.declared(1)
        return options

    def __post_init__(self) -> None:
        if type(self.bank_mb) is not int or self.bank_mb < 1:
            raise UnsupportedError(
                f"bank_mb: expected a whole number of MiB, 1 or more, found {self.bank_mb!r}"
            )
        if self.when_full not in WHEN_FULL:
            raise UnsupportedError(
                f"when_full: expected {' or '.join(WHEN_FULL)}, found {self.when_full!r}"
            )

    @property
    def place(self) -> "Place | None":
        """Where profiles are; None for a private place.

        Raises:
            UnsupportedError: as `Place.of`.
        """
        from lethe_vllm.store.place import Place

        if self.profiles is None and self.store is None:
            return None
        return Place.of(self.profiles, self.store, self.objects)

    @property
    def bank_bytes(self) -> int:
        """What `bank_mb` says, in bytes."""
        return self.bank_mb << 20

    @property
    def compile_key(self) -> dict[str, Any]:
        """What may stay in `additional_config`, whose hash is part of the compile-cache key."""
        return {"sites": self.sites, "format": SITE_FORMAT}

    def declared(self, num_layers: int) -> Declared:
        """The sites to install in a model of `num_layers` blocks.

        Raises:
            UnsupportedError: `sites` is not of the documented form.
        """
        sites: set[Site] = set()
        named: set[Site] = set()
        for part in str(self.sites).split(","):
            hook, colon, layers = part.strip().partition(":")
            first, _, last = layers.partition("-")
            numbers = not colon or (first.isdigit() and (last or first).isdigit())
            if hook not in HOOKS or not numbers or int(last or first or 0) < int(first or 0):
                raise UnsupportedError(
                    "sites: expected HOOK[:LAYER[-LAYER]],... with HOOK among "
                    f"{', '.join(HOOKS)} and layers from lower to higher, found {part!r}; for "
                    f"example {DEFAULT_SITES!r}"
                )
            end = int(last or first) + 1 if layers else num_layers
            chosen = {Site(layer, hook) for layer in range(int(first or 0), end)}
            sites |= chosen
            named |= chosen if layers else set()
        return Declared(frozenset(sites), frozenset(named))


class Travelling(dict[str, Any]):
    """What stays in `additional_config` and goes with it to every process.

    As a dictionary, which vLLM hashes into its compile-cache key, the `compile_key`.

    Attributes:
        options: all of them.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options.compile_key)
        self.options = options

    def __reduce__(self) -> tuple[type["Travelling"], tuple[Options]]:
        return Travelling, (self.options,)


def named_in_environment() -> bool:
    """Whether `VLLM_PLUGINS` asks for Lethe by name, which enables it for every engine."""
    return "lethe" in os.environ.get("VLLM_PLUGINS", "").split(",")
