"""What one HTTP server process knows while it serves: the front end, and who uses what."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lethe_projections.errors import ArtifactError, LetheError
from lethe_projections.profile import Profile
from lethe_projections.projector import Site
from lethe_server.audit import FAILED, NOTICED, Audit
from lethe_server.experiments.laboratory import Laboratory
from lethe_server.health import Health
from lethe_server.metrics import Metrics
from lethe_server.policy.following import PolicyFile
from lethe_server.settings import Settings
from lethe_server.sources import Sources
from lethe_server.unloading import unload_unneeded
from lethe_server.uses import Uses
from lethe_server.watching import Watching, watching
from lethe_vllm.catalogue import Catalogue, Entry
from lethe_vllm.errors import (
    SelectionError,
    UnavailableError,
    UnknownProfileError,
    UnsupportedError,
)
from lethe_vllm.frontend import Everyone, FrontEnd
from lethe_vllm.selection import BASE_VARIANT, Selection, Variant

logger = logging.getLogger("vllm.lethe")


@dataclass(frozen=True)
class Serving:
    """State of one application, at `app.state.lethe`.

    Attributes:
        front_end: names, digests, and what the engine holds.
        rpc: the engine client's `collective_rpc`.
        everyone: reaches every engine, where `rpc` returns the first's replies.
        health: what the ranks say of their sites.
        served: names of the base model; the first is the one to show.
        adapters: other names that vLLM serves (LoRA), as they are now.
        sites: installed in the engine.
        absent: declared, but not in this model, and why.
        settings: of this server.
        sources: where a PUT may take artifacts from.
        policy: who may use what; None where everybody may use everything.
        uses: requests being handled.
        answered: POST requests answered without error, by digest ("" for the base).
        writing: held while names change.
        top_logprobs: of how many likeliest tokens the engine tells log-probabilities; None where
            it tells logits.
        logprobs_mode: what it tells, in vLLM's words.
        dtype: the number format of the engine's weights; None where it is not known.
        quantization: how they are quantised; None where they are not.
        watching: who is told of requests and changes.
    """

    front_end: FrontEnd
    rpc: Callable[..., Awaitable[Any]]
    everyone: Everyone
    health: Health
    served: tuple[str, ...]
    adapters: Mapping[str, Any]
    sites: frozenset[Site]
    absent: Mapping[Site, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    sources: Sources = field(default_factory=Sources)
    policy: PolicyFile | None = None
    uses: Uses = field(default_factory=Uses)
    answered: Counter[str] = field(default_factory=Counter)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    top_logprobs: int | None = 20
    logprobs_mode: str = "raw_logprobs"
    dtype: str | None = None
    quantization: str | None = None
    watching: Watching = field(default_factory=Watching)

    @property
    def catalogue(self) -> Catalogue:
        return self.front_end.catalogue

    @cached_property
    def laboratory(self) -> Laboratory:
        """The experiments, in the store's database; their tables are made at the first use.

        Raises:
            UnavailableError: it does not answer.
        """
        return Laboratory.open(self.catalogue.database, self.catalogue.base.fingerprint)

    async def resolve(self, selection: Selection | None) -> Variant:
        """The variant that a selection means now; the base for none.

        Raises:
            UnknownProfileError: no such name, or it has another digest.
            IncompatibleError: its file is for another base model.
            CompositionError: several profiles that cannot be composed.
            UnavailableError: its file is damaged.
        """
        if selection is None:
            return BASE_VARIANT
        try:
            return await self.front_end.resolve_async(
                selection, lambda displaced: unload_unneeded(self, displaced)
            )
        except ArtifactError as error:
            raise UnavailableError(str(error)) from error

    async def make_resident(self, variant: Variant) -> None:
        """Loads a variant on every rank, if it is not yet.

        Raises:
            UnsupportedError: it edits where the engine has no site.
            UnavailableError: a rank refused it, or its file changed.
        """
        if not variant.is_base and variant.digest not in self.front_end.resident:
            self.check_sites(await self.profile(variant))
            await self.front_end.load_async(variant, self.rpc)

    async def check_room(self, variant: Variant) -> None:
        """Raises UnavailableError if a loaded variant finds no room where requests do not wait.

        Asked again when the request reaches the engine; but a stream has begun by then.
        """
        await self.front_end.engine_for(variant, self.everyone)

    async def profile(self, variant: Variant) -> Profile:
        """The edits that a variant other than the base is.

        Raises:
            LetheError: it was displaced, replaced or deleted since it was resolved.
        """
        known = self.catalogue.kept(variant.digest)
        if known is not None:
            return known
        return await asyncio.to_thread(self.front_end.profile, variant)

    async def check_beams(self, variant: Variant) -> None:
        """Raises SelectionError if a beam search would feed a variant's scopes false prompts."""
        if not variant.is_base and (await self.profile(variant)).positional:
            raise SelectionError(
                f"profile {variant.name}: expected no use_beam_search, since vLLM's beam search "
                "sends what it generated back as prompt, and this profile edits prompts and "
                "answers differently, found it on; sample instead"
            )

    def check_sites(self, profile: Profile) -> None:
        """Raises UnsupportedError if a profile edits where the engine has no site."""
        for site in profile.sites:
            if site in self.absent:
                raise UnsupportedError(
                    "profile: expected edits at sites that the model has, found one at "
                    f"{site}: {self.absent[site]}"
                )
        missing = [str(site) for site in profile.sites if site not in self.sites]
        if missing:
            raise UnsupportedError(
                f"profile: expected edits at installed sites, found {', '.join(missing[:5])}"
                f"{', ...' if len(missing) > 5 else ''}; restart with 'lethe serve --sites' "
                "naming these hooks and layers"
            )

    def entries(self) -> Iterator[Entry]:
        """Every profile that can be read; the others are logged and left out."""
        for name in self.catalogue.listed():
            try:
                yield self.catalogue.entry(name)
            except UnknownProfileError:
                continue  # deleted since the folder was listed
            except LetheError as error:
                logger.warning("Left out of the list: %s", error)


async def start(engine_client: Any, models: Any) -> Serving:
    """Opens the folder of profiles and runs the start-up canary on every rank.

    Args:
        engine_client: vLLM's, of an engine with Lethe enabled.
        models: vLLM's list of served models (`OpenAIServingModels`).

    Raises:
        UnsupportedError: the engine was started without Lethe.
        UnavailableError: a declared site is not installed or did not run.
        LetheError: the folder holds a profile that is not for this model, or the policy is wrong.
    """
    # Here, because they import vLLM.
    from lethe_server import compat
    from lethe_vllm import compat as engine

    front_end = engine.front_end(engine_client)
    options = engine.options(engine_client.vllm_config)
    settings = Settings.parse(options.server)
    declared = options.declared(front_end.catalogue.base.num_layers)
    sites, absent = await sites_of(engine_client, declared.sites)
    front_end.reached = True
    everyone = engine.everyone(engine_client)
    metrics = Metrics()
    engine.on_ended(engine_client, metrics.generated_by)
    watched_by = watching(settings, metrics, front_end, everyone)
    dtype, quantization = compat.precision(engine_client.vllm_config)
    return Serving(
        front_end=front_end,
        rpc=metrics.loading(engine_client.collective_rpc),
        everyone=everyone,
        health=Health(lambda: everyone("lethe_check")),
        served=tuple(path.name for path in models.base_model_paths),
        adapters=models.lora_requests,
        sites=sites,
        absent=absent,
        settings=settings,
        sources=Sources(settings.sources),
        top_logprobs=compat.top_logprobs(engine_client.vllm_config),
        logprobs_mode=compat.logprobs_mode(engine_client.vllm_config),
        dtype=dtype,
        quantization=quantization,
        policy=policy_file(settings, watched_by.audit),
        watching=watched_by,
    )


def policy_file(settings: Settings, audit: Audit) -> PolicyFile | None:
    """The policy, if there is one; the audit is told each time that it is read again.

    Raises:
        PolicyError: it is missing or wrong.
    """
    if settings.policy is None:
        return None

    def told(before: str, after: str | None) -> None:
        outcome = FAILED if after is None else NOTICED
        audit.noticed("policy", settings.policy or "", before, after, outcome)

    return PolicyFile(Path(settings.policy), told)


async def sites_of(
    engine_client: Any, declared: frozenset[Site]
) -> tuple[frozenset[Site], Mapping[Site, str]]:
    """The sites that are installed, and those that the model does not have, with the reason.

    Raises:
        UnavailableError: a rank does not answer, or a declared site is neither.
    """
    try:
        replies = await engine_client.collective_rpc("lethe_status")
    except Exception as error:
        raise UnavailableError(
            f"start: expected every rank to report its sites, found {error}; not serving: start "
            "with 'lethe serve', or VLLM_PLUGINS=lethe"
        ) from error
    sites = frozenset(Site.parse(site) for reply in replies for site in reply["sites"])
    absent = {Site.parse(site): why for reply in replies for site, why in reply["absent"].items()}
    missing = sorted(declared - sites - absent.keys())
    if missing:
        raise UnavailableError(
            f"start: expected every declared site on some rank, found none for {missing[0]}"
            f"{', ...' if len(missing) > 1 else ''}; not serving: declare sites that the model has "
            "with 'lethe serve --sites'"
        )
    return sites, absent
