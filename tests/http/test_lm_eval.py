"""lm-eval measures the variant whose name it is given: log-likelihoods, and generated answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lethe_projections import artifact, embedded, reference

from .comparing import LOG_PROBABILITY
from .harness import Run, samples
from .server import Server

MODELS = {"base": "smollm2", "france": "smollm2:france"}
WAYS = {
    "token ids": {},
    "text": {"tokenized_requests": False},
    "batches": {"batch_size": 4, "num_concurrent": 1},
}
Samples = list[dict[str, Any]]


@pytest.fixture(scope="module")
def measured(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Samples]:
    """By `<way>, <variant>`; `chat` is a way too."""
    runs = {}
    for name, model in MODELS.items():
        for way, options in WAYS.items():
            runs[f"{way}, {name}"] = Run(
                "local-completions", "/v1/completions", "capitals", {**options, "model": model}
            )
        runs[f"chat, {name}"] = Run(
            "local-chat-completions", "/v1/chat/completions", "capitals_chat",
            {"model": model}, chat=True,
        )  # fmt: skip
    folder = tmp_path_factory.mktemp("lm-eval")
    found: dict[str, Samples] = samples(runs, server.url, str(embedded.prepare()), folder)
    return found


@pytest.fixture(scope="module", params=MODELS)
def judge(request: pytest.FixtureRequest, server: Server) -> Iterator[tuple[str, torch.nn.Module]]:
    """A variant's name, and transformers' model of it."""
    model = AutoModelForCausalLM.from_pretrained(embedded.prepare(), dtype=torch.float32).eval()
    if request.param == "base":
        yield "base", model
        return
    profile = artifact.from_bytes((server.log.parent / "profiles/france.safetensors").read_bytes())
    with reference.edited(model, profile) as edited:
        yield request.param, edited


def loglikelihood(model: torch.nn.Module, context: list[int], end: list[int]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([context + end])).logits[0, len(context) - 1 : -1]
    chosen = logits.log_softmax(-1).gather(1, torch.tensor(end)[:, None])
    return float(chosen.sum())


def measured_likelihoods(found: Samples) -> list[list[float]]:
    """By document and choice."""
    return [[float(choice[0][0]) for choice in sample["resps"]] for sample in found]


def shares(found: Samples) -> tuple[float, float]:
    """Accuracy on what is about France, and on the others."""
    about = [sample["acc"] for sample in found if sample["doc"]["about"] == "France"]
    others = [sample["acc"] for sample in found if sample["doc"]["about"] != "France"]
    return sum(about) / len(about), sum(others) / len(others)


@pytest.mark.path("echo with log-probabilities")
def test_loglikelihoods_are_those_of_transformers(
    measured: dict[str, Samples], judge: tuple[str, torch.nn.Module]
) -> None:
    name, model = judge
    tokenizer = AutoTokenizer.from_pretrained(embedded.prepare())
    expected = [
        [
            loglikelihood(
                model,
                tokenizer(sample["doc"]["question"]).input_ids,
                tokenizer(f" {choice}").input_ids,
            )
            for choice in sample["doc"]["choices"]
        ]
        for sample in measured[f"token ids, {name}"]
    ]
    assert len(expected) == 12
    for way in WAYS:
        for found, wanted in zip(
            measured_likelihoods(measured[f"{way}, {name}"]), expected, strict=True
        ):
            assert found == pytest.approx(wanted, abs=LOG_PROBABILITY), way


@pytest.mark.parametrize("way", WAYS)
def test_the_variant_fails_at_what_it_forgot_and_nowhere_else(
    measured: dict[str, Samples], way: str
) -> None:
    assert shares(measured[f"{way}, base"]) == (1, 1)
    assert shares(measured[f"{way}, france"]) == (0, 1)


def test_generated_answers_are_the_variants(server: Server, measured: dict[str, Samples]) -> None:
    assert shares(measured["chat, base"]) == (1, 1)
    assert shares(measured["chat, france"]) == (0, 1)
    for name in MODELS:
        for sample in measured[f"chat, {name}"]:
            question = f"What is the capital of {sample['doc']['about']}?"
            assert sample["resps"][0][0] == server.answer(question, name)


def test_a_profile_that_is_not_there_ends_the_evaluation(server: Server, tmp_path: Path) -> None:
    options = {"model": "smollm2:spain"}
    run = Run("local-completions", "/v1/completions", "capitals", options)
    with pytest.raises(AssertionError, match="404"):
        samples({"none": run}, server.url, str(embedded.prepare()), tmp_path)
