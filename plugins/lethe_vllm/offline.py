"""Profiles for offline use, with vLLM's own `LLM`.

llm = LLM(model, additional_config={"lethe": {"profiles": "profiles/"}})
llm.generate(prompts, SamplingParams(extra_args={"unlearning_profile": "france"}))
llm.generate(prompts, SamplingParams(extra_args={"unlearning_profile": "france+japan"}))
"""

from pathlib import Path
from typing import Any

from lethe_projections import artifact
from lethe_vllm import compat
from lethe_vllm.catalogue import Entry
from lethe_vllm.selection import Variant, check_name


def put_profile(llm: Any, name: str, source: str | Path | bytes) -> Entry:
    """Adds or replaces a profile of a running `LLM`, once the engine has loaded it.

    Args:
        llm: a `vllm.LLM` with Lethe enabled.
        name: what requests will call it.
        source: the artifact's path, or its bytes.

    Raises:
        LetheError: it is malformed, for another model, or the engine refused it; what the name
            meant before still serves.
    """
    engine = llm.llm_engine
    front_end = compat.front_end(engine)
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    catalogue = front_end.catalogue
    profile = catalogue.check(data)
    variant = Variant(check_name(name), artifact.digest(data))
    previous = catalogue.names.find(name)
    front_end.load_data(variant, data, engine.collective_rpc)
    try:
        entry = catalogue.put(name, data, profile)
    except BaseException:
        _unload_unnamed(engine, variant.digest)
        raise
    if previous is not None:
        _unload_unnamed(engine, previous.digest or "")
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
    """Lets the engine forget a digest that no name has any more, and what is composed of it."""
    front_end = compat.front_end(engine)
    if not front_end.catalogue.holds(digest):
        for unused in front_end.compositions.without(digest):
            front_end.unload(unused, engine.collective_rpc)
