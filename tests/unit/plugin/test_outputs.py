"""What a generation was is told once, at its end, by vLLM's own output processor."""

from types import SimpleNamespace
from typing import Any

import pytest
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine import EngineCoreOutput, EngineCoreRequest, FinishReason, output_processor
from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector
from vllm.v1.engine.parallel_sampling import ParentRequest
from vllm.v1.metrics.stats import IterationStats

from lethe_vllm import compat
from lethe_vllm.generation import Generation
from lethe_vllm.selection import BASE_VARIANT, PROFILE_KEY, Variant

FRANCE = Variant("france", "ab" * 32)


class Front:
    """An output processor that is told of, and fed as an engine would."""

    def __init__(self) -> None:
        compat.install()
        self.ended: list[Generation] = []
        self.processor = OutputProcessor(None, log_stats=True, tracing_enabled=True)
        engine: Any = SimpleNamespace(output_processor=self.processor)
        compat.on_ended(engine, self.ended.append)

    def add(self, name: str, variant: Variant, n: int = 1) -> list[str]:
        stamp = None if variant.is_base else {PROFILE_KEY: variant.stamp}
        params = SamplingParams(
            n=n, extra_args=stamp, detokenize=False, output_kind=RequestOutputKind.DELTA
        )
        parent = ParentRequest(self.request(name, params)) if n > 1 else None
        names = []
        for index in range(n):
            child = (name, params) if parent is None else parent.get_child_info(index)
            queue = RequestOutputCollector(params.output_kind, name)
            self.processor.add_request(self.request(*child), None, parent, index, queue)
            names.append(child[0])
        return names

    def request(self, name: str, params: SamplingParams) -> EngineCoreRequest:
        own = name.rsplit("_", maxsplit=1)[-1]
        return EngineCoreRequest(
            request_id=name, external_req_id=own, prompt_token_ids=[1, 2, 3], mm_features=None,
            sampling_params=params, pooling_params=None, arrival_time=0.0, lora_request=None,
            cache_salt=None, data_parallel_rank=None,
        )  # fmt: skip

    def step(self, name: str, tokens: int, end: FinishReason | None = None) -> None:
        output = EngineCoreOutput(name, [7] * tokens, finish_reason=end)
        self.processor.process_outputs([output], 1.0, IterationStats())


@pytest.fixture
def front() -> Front:
    return Front()


def costs(front: Front) -> list[tuple[str, int, int]]:
    return [(one.variant.name, one.prompt_tokens, one.generated_tokens) for one in front.ended]


def test_what_ended_is_told_with_its_tokens(front: Front) -> None:
    front.add("a", FRANCE)
    front.add("b", BASE_VARIANT)
    front.step("a", 1)
    front.step("b", 4)
    assert front.ended == []
    front.step("a", 2, FinishReason.LENGTH)
    front.step("b", 1, FinishReason.STOP)
    assert costs(front) == [("france", 3, 3), ("base", 3, 5)]
    assert front.ended[0].variant == FRANCE
    assert (front.ended[0].seconds_to_first or 0) > 0


def test_a_prompt_of_several_sequences_counts_once(front: Front) -> None:
    for name in front.add("a", FRANCE, n=2):
        front.step(name, 2, FinishReason.LENGTH)
    assert costs(front) == [("france", 3, 2), ("france", 0, 2)]


@pytest.mark.parametrize("internal", [True, False])
def test_an_aborted_generation_is_told_with_what_it_had(front: Front, internal: bool) -> None:
    front.add("a", FRANCE)
    front.add("b", FRANCE)
    front.step("a", 2)
    front.processor.abort_requests(["a", "b"], internal=internal)
    front.processor.abort_requests(["a", "b"], internal=internal)
    assert costs(front) == [("france", 3, 2), ("france", 0, 0)]
    assert front.ended[1].seconds_to_first is None


def test_aborted_sequences_of_one_prompt_are_told_once_each(front: Front) -> None:
    first, _ = front.add("a", FRANCE, n=2)
    front.step(first, 2)
    front.processor.abort_requests(["a"], internal=True)
    assert sorted(costs(front)) == [("france", 0, 0), ("france", 3, 2)]


def test_a_processor_that_nobody_asks_tells_nobody(front: Front) -> None:
    front.processor = OutputProcessor(None, log_stats=True)
    front.add("a", FRANCE)
    front.step("a", 1, FinishReason.LENGTH)
    assert front.ended == []


def test_a_span_names_the_variant(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[dict[str, Any]] = []

    def instrument_manual(
        span_name: str, start_time: int, end_time: Any = None, attributes: Any = None, **_: Any
    ) -> None:
        spans.append(attributes)

    monkeypatch.setattr(output_processor, "instrument_manual", instrument_manual)
    compat.install()
    for name, variant in (("a", FRANCE), ("b", BASE_VARIANT)):
        front.add(name, variant)
        front.step(name, 1, FinishReason.LENGTH)
    output_processor.instrument_manual("other", 0)
    first, second, other = spans
    assert (first["lethe.profile"], first["lethe.digest"]) == ("france", FRANCE.digest)
    assert first["gen_ai.request.id"] == "a"
    assert second["lethe.profile"] == "base"
    assert "lethe.digest" not in second
    assert other is None
