"""What Prometheus reads of Lethe, on vLLM's own `/metrics`. Knows nothing of HTTP or of the engine.

Every series of a profile carries its name, so names come from requests that found their profile,
and never from what a client sent. Several server processes share one exposition
(`PROMETHEUS_MULTIPROC_DIR`): counters and histograms add up there, and of what the engines say, the
process that asked last is right.
"""

import os
from collections.abc import Awaitable, Callable, Collection
from time import perf_counter
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from lethe_server.exchange import Exchange
from lethe_server.figures import Figures
from lethe_vllm.generation import Generation

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MAX_COMPOSITIONS = 64
OTHERS = "(other compositions)"
"""The label of compositions beyond that; no profile can have this name."""
PROFILE = "profile"


class Metrics:
    """The metrics of one server process.

    Args:
        registry: where they are read from; a process has each once.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._labels: set[str] = set()

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"lethe:{name}", help, labels, registry=registry)

        def histogram(name: str, help: str, *labels: str) -> Histogram:
            return Histogram(f"lethe:{name}", help, labels, registry=registry, buckets=SECONDS)

        def gauge(name: str, help: str, *labels: str) -> Gauge:
            return Gauge(
                f"lethe:{name}", help, labels, registry=registry, multiprocess_mode="mostrecent"
            )

        self.requests = counter("requests", "POST requests, by class of status.", PROFILE, "status")
        self.refusals = counter("refusals", "Requests that Lethe refused, by its error.", "reason")
        self.seconds = histogram("request_seconds", "From request to end of response.", PROFILE)
        self.first = histogram("time_to_first_token_seconds", "Since arrival at vLLM.", PROFILE)
        self.prompt_tokens = counter("prompt_tokens", "Of prompts, cached or not.", PROFILE)
        self.generated = counter("generation_tokens", "Also for clients that left.", PROFILE)
        self.loads = counter("profile_loads", "Profiles that every rank took.")
        self.load_failures = counter("profile_load_failures", "Profiles that a rank refused.")
        self.load_seconds = histogram("profile_load_seconds", "From a load's start to its end.")
        self.audit_lost = counter("audit_lines_lost", "Requests missing from the audit file.")
        self.registered = gauge("profiles_registered", "Profiles in the ranks' host memory.")
        self.held = gauge("profiles_held", "Profiles on the devices.")
        self.registered_bytes = gauge("profile_bytes_registered", "Bytes of them in host memory.")
        self.held_bytes = gauge("profile_bytes_held", "Bytes of them on the devices.")
        self.evictions = gauge("profile_evictions", "Held profiles that made room, so far.")
        self.waiting = gauge("requests_waiting_for_room", "Requests whose profile has no room.")
        self.edited = gauge("edited_tokens", "Tokens edited since the profile was loaded.", PROFILE)
        self._by_profile: tuple[Counter | Gauge | Histogram, ...] = (
            *(self.requests, self.seconds, self.first),
            *(self.prompt_tokens, self.generated, self.edited),
        )

    def exchanged(self, exchange: Exchange) -> None:
        """Observes the end of a request."""
        if exchange.refused is not None:
            self.refusals.labels(exchange.refused).inc()
        if exchange.variant is not None:
            profile = self.label(exchange.variant.name)
            status = exchange.status
            answer = "none" if status is None else f"{status // 100}xx"
            self.requests.labels(profile, answer).inc()
            self.seconds.labels(profile).observe(exchange.seconds)

    def generated_by(self, generation: Generation) -> None:
        """Observes the end of a generation."""
        profile = self.label(generation.variant.name)
        self.prompt_tokens.labels(profile).inc(generation.prompt_tokens)
        self.generated.labels(profile).inc(generation.generated_tokens)
        if generation.seconds_to_first is not None:
            self.first.labels(profile).observe(generation.seconds_to_first)

    def loading(self, rpc: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """A `collective_rpc` whose loads are counted."""

        async def call(method: str, *args: Any, **kwargs: Any) -> Any:
            if method != "lethe_load":
                return await rpc(method, *args, **kwargs)
            began = perf_counter()
            try:
                replies = await rpc(method, *args, **kwargs)
            except BaseException:
                self.load_failures.inc()
                raise
            self.loads.inc()
            self.load_seconds.observe(perf_counter() - began)
            return replies

        return call

    def told(self, figures: Figures) -> None:
        """Takes over what the engines say of themselves."""
        self.registered.set(figures.registered)
        self.held.set(figures.held)
        self.registered_bytes.set(figures.registered_bytes)
        self.held_bytes.set(figures.held_bytes)
        self.evictions.set(figures.evictions)
        self.waiting.set(figures.waiting)
        for name, tokens in figures.edited.items():
            self.edited.labels(self.label(name)).set(tokens)

    def label(self, name: str) -> str:
        """What a variant's series carry: its name, of compositions that of the first 64."""
        if name in self._labels:
            return name
        if "+" in name and sum("+" in one for one in self._labels) >= MAX_COMPOSITIONS:
            return OTHERS
        self._labels.add(name)
        return name

    def keep(self, names: Collection[str]) -> None:
        """Drops the series of profiles that are not among `names`.

        Not with several processes, where the client library cannot: they end with the server.
        """
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            return
        for gone in [one for one in self._labels if not set(one.split("+")) <= set(names)]:
            self._labels.discard(gone)
            for metric in self._by_profile:
                metric.remove_by_labels({PROFILE: gone})
