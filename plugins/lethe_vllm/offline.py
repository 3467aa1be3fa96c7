"""Profiles for offline use, with vLLM's own `LLM`.

llm = LLM(model, additional_config={"lethe": {"profiles": "profiles/"}})
llm.generate(prompts, SamplingParams(extra_args={"unlearning_profile": "france"}))
"""

from pathlib import Path
from typing import Any

from lethe_vllm import compat
from lethe_vllm.catalogue import Entry


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
    entry = front_end.catalogue.put(name, data)
    front_end.load(entry.variant, engine.collective_rpc)
    return entry


def delete_profile(llm: Any, name: str) -> Entry:
    """Forgets a profile of a running `LLM`.

    Raises:
        UnknownProfileError: there is none of that name.
    """
    engine = llm.llm_engine
    front_end = compat.front_end(engine)
    entry = front_end.catalogue.delete(name)
    front_end.resident.discard(entry.digest)
    engine.collective_rpc("lethe_unload", args=(entry.digest,))
    return entry
