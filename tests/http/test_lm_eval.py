"""lm-eval measures the variant whose name it is given: log-likelihoods, and generated answers."""

from itertools import product
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
    runs["nobody"] = Run(
        "local-completions",
        "/v1/completions",
        "capitals",
        {"model": "smollm2:nobody", "num_concurrent": 1},
    )
    folder = tmp_path_factory.mktemp("lm-eval")
    found: dict[str, Samples] = samples(runs, server.url, str(embedded.prepare()), folder)
    return found


def judged(model: torch.nn.Module, documents: list[dict[str, Any]]) -> list[list[float]]:
    """Log-likelihoods by document and choice, all in one pass of a transformers model."""
    tokenizer = AutoTokenizer.from_pretrained(embedded.prepare())
    contexts = [tokenizer(document["question"]).input_ids for document in documents]
    rows = [
        (context, tokenizer(f" {choice}").input_ids)
        for context, document in zip(contexts, documents, strict=True)
        for choice in document["choices"]
    ]
    # What is padded stands to the right of what counts, where nothing that counts looks.
    padded = torch.zeros(len(rows), max(len(a + b) for a, b in rows), dtype=torch.long)
    for row, (context, end) in zip(padded, rows, strict=True):
        row[: len(context + end)] = torch.tensor(context + end)
    with torch.no_grad():
        scores = model(padded).logits.log_softmax(-1)
    each = [
        float(sum(scores[i, len(context) + j - 1, token] for j, token in enumerate(end)))
        for i, (context, end) in enumerate(rows)
    ]
    return [each[i : i + 3] for i in range(0, len(each), 3)]


def measured_likelihoods(found: Samples) -> list[list[float]]:
    """By document and choice."""
    return [[float(choice[0][0]) for choice in sample["resps"]] for sample in found]


def shares(found: Samples) -> tuple[float, float]:
    """Accuracy on what is about France, and on the others."""
    about = [sample["acc"] for sample in found if sample["doc"]["about"] == "France"]
    others = [sample["acc"] for sample in found if sample["doc"]["about"] != "France"]
    return sum(about) / len(about), sum(others) / len(others)


def test_loglikelihoods_are_those_of_transformers(
    server: Server, measured: dict[str, Samples]
) -> None:
    documents = [sample["doc"] for sample in measured["token ids, base"]]
    assert len(documents) == 12
    model = AutoModelForCausalLM.from_pretrained(embedded.prepare(), dtype=torch.float32).eval()
    served = server.log.parent / "profiles" / "france.safetensors"
    expected = {"base": judged(model, documents)}
    with reference.edited(model, artifact.from_bytes(served.read_bytes())) as edited:
        expected["france"] = judged(edited, documents)
    for way, name in product(WAYS, MODELS):
        for found, wanted in zip(
            measured_likelihoods(measured[f"{way}, {name}"]), expected[name], strict=True
        ):
            assert found == pytest.approx(wanted, abs=LOG_PROBABILITY), (way, name)
    assert abs(expected["base"][0][0] - expected["france"][0][0]) > 1


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


def test_a_profile_that_is_not_there_is_not_measured(measured: dict[str, Any]) -> None:
    assert "404" in measured["nobody"]
