"""Beam search over HTTP is the variant's: each of its steps is a request of its own."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lethe_projections import artifact, embedded, reference
from lethe_projections.base_model import BaseModel

from .profiles import synthetic
from .server import Server

PROMPT = "The quick brown fox jumps over the lazy"
BEAMS, TOKENS = 3, 6


@pytest.mark.path("beam search")
def test_the_beams_of_a_variant_are_those_of_the_edit_in_transformers(
    server: Server, base: BaseModel
) -> None:
    checkpoint = embedded.prepare()
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    asked = tokenizer(PROMPT, return_tensors="pt")

    def beams(found: torch.nn.Module) -> list[str]:
        ids = found.generate(  # type: ignore[operator]
            **asked, num_beams=BEAMS, num_return_sequences=BEAMS, max_new_tokens=TOKENS,
            do_sample=False, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        return list(tokenizer.batch_decode(ids[:, asked["input_ids"].shape[1] :]))

    def served(profile: str) -> list[str]:
        body = {
            "model": "smollm2", "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0,
            "use_beam_search": True, "n": BEAMS, "ignore_eos": True,
        }  # fmt: skip
        reply = server.post("/v1/completions", body, profile)
        assert reply.status_code == 200, reply.text
        return [choice["text"] for choice in reply.json()["choices"]]

    with reference.edited(model, artifact.from_bytes(synthetic(base, 1))) as edited:
        wanted = beams(edited)
    assert served("alpha") == wanted
    assert served("base") == beams(model) != wanted
