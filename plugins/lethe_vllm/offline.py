"""Profiles for offline use, with vLLM's own `LLM`.

llm = LLM(model, additional_config={"lethe": {"profiles": "profiles/"}})
llm.generate(prompts, SamplingParams(extra_args={"unlearning_profile": "france"}))
"""

from pathlib import Path
from typing import Any

from lethe_vllm import compat
from lethe_vllm.catalogue import Entry
from lethe_vllm.selection import Variant


def put_profile(llm: Any, name: str, artifact: str | Path | bytes) -> Entry:
    """Adds or replaces a profile of a running `LLM` and makes it resident.

    Args:
        llm: a `vllm.LLM` with Lethe enabled.
        name: what requests will call it.
        artifact: a file's path, or its bytes.

    Raises:
        LetheError: it is malformed, for another model, or the engine refused it.
    """
    engine = llm.llm_engine
    front_end = compat.front_end(engine)
    data = artifact if isinstance(artifact, bytes) else Path(artifact).read_bytes()
    catalogue = front_end.catalogue
    previous = catalogue.entry(name).digest if name in catalogue.names() else None
    entry = catalogue.put(name, data)
    front_end.load(entry.variant, engine.collective_rpc)
    if previous is not None:
        _unload_unnamed(engine, previous)
    return entry


def delete_profile(llm: Any, name: str) -> Variant:
    """Forgets a profile of a running `LLM`.

    Raises:
        UnknownProfileError: there is none of that name.
    """
    variant = compat.front_end(llm.llm_engine).catalogue.delete(name)
    _unload_unnamed(llm.llm_engine, variant.digest)
    return variant


def _unload_unnamed(engine: Any, digest: str) -> None:
    """Lets the engine forget a digest that no name has any more."""
    front_end = compat.front_end(engine)
    catalogue = front_end.catalogue
    if all(catalogue.entry(name).digest != digest for name in catalogue.names()):
        front_end.resident.discard(digest)
        engine.collective_rpc("lethe_unload", args=(digest,))
