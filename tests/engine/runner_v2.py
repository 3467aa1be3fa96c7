"""A process of its own for vLLM's model runner V2: answers of the base and of variants, as JSON.

    python -m tests.engine.runner_v2 CHECKPOINT OUT

Runs under `interpreter/sitecustomize.py` and TRITON_INTERPRET=1, which have to be there before
vLLM is imported.
"""

import json
import sys
from pathlib import Path
from typing import Any

from lethe_projections.base_model import BaseModel
from lethe_vllm.edit import live
from tests.engine.conftest import LETHE, put, running
from tests.engine.oracle import served
from tests.engine.variants import contrasting


def main(checkpoint: str, out: Path) -> None:
    variants = contrasting(BaseModel.from_checkpoint(checkpoint))
    with running(checkpoint, out.parent / "cache", additional_config=LETHE) as llm:
        put(llm, variants)
        found = {name: answers(llm, name) for name in ("base", *variants)}
        [runner] = llm.collective_rpc(runner_class)
    backend = type(live.bank.backend).__name__ if live.bank else ""
    out.write_text(json.dumps({"runner": runner, "backend": backend, "answers": found}))


def answers(llm: Any, name: str) -> list[dict[str, Any]]:
    """What the oracle needs to know of each output."""
    return [
        {
            "prompt_token_ids": list(output.prompt_token_ids),
            "token_ids": list(output.outputs[0].token_ids),
            "logprobs": [
                {token: entry.logprob for token, entry in step.items()}
                for step in output.outputs[0].logprobs
            ],
        }
        for output in served(llm, name)
    ]


def runner_class(worker: Any) -> str:
    return type(worker.model_runner).__module__


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
