"""What torch.compile makes of a model in vLLM: its graphs, and the code that Inductor writes.

Engines run in a process of their own, as in `one_process`, so that what is compiled can be seen.
"""

import gc
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any
from unittest import mock


@dataclass(frozen=True)
class Traced:
    """One engine's compiled model.

    Attributes:
        graphs: that Dynamo traced and Inductor compiled.
        breaks: why a graph was broken, with counts.
        ops: in the graph that Inductor writes code from, after it has made mutations functional
            and put them back in place, with counts.
        edits: the sites there, in order.
        edited_copies: sites whose `y` is a copy.
        launches: in the code, calls of kernels and operators without Lethe's.
        copied: those operators of the graph that copy, with counts.
    """

    graphs: int
    breaks: dict[str, int]
    ops: Counter[str]
    edits: list[str]
    edited_copies: list[str]
    launches: int
    copied: Counter[str]


def trace(checkpoint: str, dtype: str, sites: str | None) -> Traced:
    """Starts an engine, compiled, with Lethe or (`sites` None) without, and stops it."""
    import torch._inductor.compile_fx
    from torch._dynamo.utils import counters
    from torch._inductor.graph import GraphLowering

    from .one_process import register

    inductor: Any = torch._inductor
    torch._dynamo.reset()
    counters.clear()
    register(checkpoint)
    graphs: list[Any] = []
    code: list[str] = []
    passes = inductor.compile_fx.post_grad_passes

    def post_grad_passes(module: Any, *args: Any, **kwargs: Any) -> None:
        passes(module, *args, **kwargs)
        graphs.append(module.graph)

    with (
        mock.patch.object(inductor.compile_fx, "post_grad_passes", post_grad_passes),
        mock.patch.object(GraphLowering, "save_output_code", code.append),
    ):
        _start_and_stop(checkpoint, dtype, sites)
    return seen(graphs, code, dict(counters["graph_break"]))


def _start_and_stop(checkpoint: str, dtype: str, sites: str | None) -> None:
    from vllm import LLM

    llm = LLM(
        checkpoint,
        dtype=dtype,
        skip_tokenizer_init=True,
        max_model_len=128,
        kv_cache_memory_bytes=1 << 26,
        enforce_eager=False,
        distributed_executor_backend="uni",
        additional_config={} if sites is None else {"lethe": {"sites": sites}},
    )
    llm.llm_engine.engine_core.shutdown()
    del llm
    gc.collect()


def seen(graphs: list[Any], code: list[str], breaks: dict[str, int]) -> Traced:
    """What there is to say of graphs after their last pass, and of the code for them."""
    from lethe_vllm.sites import site_at

    nodes = [node for graph in graphs for node in graph.nodes if node.op == "call_function"]
    edits = [node for node in nodes if "lethe.edit" in _name(node)]
    sites = [str(site_at(node.args[3])) for node in edits]
    copied = [site for site, node in zip(sites, edits, strict=True) if _copies(_name(node.args[0]))]
    calls = re.findall(
        r"^ +(cpp_fused_\w+|extern_kernels\.\w+|torch\.ops\.[\w.]+)\(", "\n".join(code), re.M
    )
    return Traced(
        graphs=len(graphs),
        breaks=breaks,
        ops=Counter(map(_name, nodes)),
        edits=sites,
        edited_copies=copied,
        launches=sum("lethe" not in call for call in calls),
        copied=Counter(name for name in map(_name, nodes) if _copies(name)),
    )


def _name(node: Any) -> str:
    return str(node.target)


def _copies(name: str) -> bool:
    return any(word in name for word in ("clone", "copy", "functionalized"))
