"""torch.compile traces a model with sites whole, each site once, and copies nothing for an edit."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pytest

from .. import tiny_models
from .one_process import ROOT
from .traced import Traced, trace

MODELS = ("LlamaForCausalLM", "Gemma2ForCausalLM", "Olmo2ForCausalLM")
"""The sum of the residual stream deferred; a norm after the MLP; vLLM's transformers backend."""

SITES = {"default": ("mlp", "down_proj"), "every hook": ("block", "attn", "mlp", "down_proj")}

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Case:
    """One model with sites, and stock."""

    hooks: tuple[str, ...]
    lethe: Traced
    stock: Traced


@pytest.fixture(scope="module")
def tracing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Traced]]:
    folder = tmp_path_factory.mktemp("traced")
    known: dict[tuple[str, str | None], Traced] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        # Empty ones: what is found there is not compiled.
        patch.setenv("VLLM_CACHE_ROOT", str(folder / "cache"))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:

            def traced(architecture: str, sites: str | None) -> Traced:
                key = (architecture, sites)
                if key not in known:
                    checkpoint = folder / architecture
                    if not checkpoint.exists():
                        tiny_models.save(architecture, checkpoint)
                    asked = pool.submit(trace, str(checkpoint), "bfloat16", sites)
                    known[key] = asked.result()
                return known[key]

            yield traced


@pytest.fixture(scope="module", params=MODELS)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=SITES)
def case(request: pytest.FixtureRequest, architecture: str, tracing: Callable[..., Traced]) -> Case:
    hooks = SITES[request.param]
    return Case(hooks, tracing(architecture, ",".join(hooks)), tracing(architecture, None))


def test_the_model_is_one_graph_without_a_break(case: Case) -> None:
    assert case.lethe.graphs == case.stock.graphs == 1
    assert case.lethe.breaks == {}


def test_every_site_is_in_the_graph_once(case: Case) -> None:
    declared = [f"layers.{n}.{hook}" for n in range(tiny_models.LAYERS) for hook in case.hooks]
    assert sorted(case.lethe.edits) == sorted(declared)
    assert case.stock.edits == []


def test_an_edit_writes_where_the_model_wrote(case: Case) -> None:
    assert case.lethe.edited_copies == []
    assert not [op for op in case.lethe.ops if "functionalized" in op]


def test_no_more_is_copied_than_in_stock(case: Case) -> None:
    assert case.lethe.copied == case.stock.copied
    # A block's edit stands between two operations that stock fuses into one, in some models.
    if case.hooks == SITES["default"]:
        assert case.lethe.launches == case.stock.launches
