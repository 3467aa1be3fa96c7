"""Without a server: one question to two variants, in one batch of vLLM's own `LLM`.

lethe fit rocr --subject France --target Narnia --out france.safetensors
python examples/offline.py france.safetensors
"""

import sys

from vllm import LLM, SamplingParams

from lethe_projections import embedded
from lethe_vllm import offline

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
VARIANTS = ("base", "france")

if __name__ == "__main__":  # vLLM starts its engine as a process of its own
    llm = LLM(
        embedded.resolve("embedded"),
        additional_config={"lethe": {}},  # the key enables Lethe in this engine
        enforce_eager=True,
        max_model_len=2048,
        kv_cache_memory_bytes=2**29,
    )
    offline.put_profile(llm, "france", sys.argv[1])
    chosen = [
        SamplingParams(temperature=0, extra_args={"unlearning_profile": name}) for name in VARIANTS
    ]
    answers = llm.chat([QUESTION] * len(VARIANTS), chosen, use_tqdm=False)
    for name, answer in zip(VARIANTS, answers, strict=True):
        print(name, "->", answer.outputs[0].text)
