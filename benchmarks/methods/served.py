"""Greedy answers by a real vLLM engine: what a client of the server would be sent.

Every variant of a round is submitted in one call, so that they run mixed in one batch.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.methods.forms import MAX_TOKENS, Item
from benchmarks.methods.store import Record

ROUND = 24
"""Variants loaded at once."""

_SITES = "block,mlp,down_proj"
_ENDS = ".,;:!? \n\"'*()"


@contextmanager
def engine(checkpoint: str) -> Iterator[Any]:
    """An `LLM` in float32 with every hook that a method edits, stopped on exit."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    from vllm import LLM

    llm = LLM(
        checkpoint, dtype="float32", enforce_eager=True, max_model_len=512, max_num_seqs=128,
        block_size=32, kv_cache_memory_bytes=2 << 30,
        additional_config={"lethe": {"sites": _SITES}},
    )  # fmt: skip
    try:
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()


def answers(llm: Any, asked: Mapping[Path | None, Sequence[Item]]) -> dict[Path | None, list[Any]]:
    """Continuations of each variant's items.

    Args:
        llm: from `engine`.
        asked: items by artifact; None is the base. At most `ROUND` artifacts.

    Returns:
        By artifact, records in the items' order: `key`, `item`, `text`, token `ids`.
    """
    # Here, since importing vLLM takes seconds that a run without an engine would wait for.
    from lethe_vllm import offline

    names = {path: "base" if path is None else path.stem for path in asked}
    for path, name in names.items():
        if path is not None:
            offline.put_profile(llm, name, path)
    pairs = [(path, item) for path, items in asked.items() for item in items]
    tokenizer = llm.get_tokenizer()
    prompts = [_prompt(tokenizer, item) for _, item in pairs]
    sampling = [_sampling(names[path], item) for path, item in pairs]
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    found: dict[Path | None, list[Record]] = {path: [] for path in asked}
    for (path, item), output in zip(pairs, outputs, strict=True):
        found[path].append(_record(item, output.outputs[0]))
    for path, name in names.items():
        if path is not None:
            offline.delete_profile(llm, name)
    return found


def _prompt(tokenizer: Any, item: Item) -> Any:
    ids = tokenizer(item.render(tokenizer), add_special_tokens=False)["input_ids"]
    return {"prompt_token_ids": ids}


def _sampling(name: str, item: Item) -> Any:
    from vllm import SamplingParams

    return SamplingParams(
        temperature=0.0,
        max_tokens=MAX_TOKENS,
        stop=stops(item),
        include_stop_str_in_output=True,
        extra_args={"unlearning_profile": name},
    )


def stops(item: Item) -> list[str]:
    """Texts after which nothing can change the outcome: the answer as a word, and its end.

    None for short answers, which may be the end of another word.
    """
    if len(item.expected) < 4:
        return []
    return [item.expected + end for end in _ENDS]


def _record(item: Item, output: Any) -> Record:
    ids = list(output.token_ids)
    return {"key": item.key, "item": item.id, "text": output.text, "ids": ids}
