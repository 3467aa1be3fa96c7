"""With OpenAI's client: a variant by the model's name, by a header, and as a stream.

make demo      # or any server that has a profile 'france'
OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/openai_client.py
"""

import openai
from openai.types.chat import ChatCompletionUserMessageParam

HEADER = "X-Unlearning-Profile"
QUESTION: list[ChatCompletionUserMessageParam] = [
    {"role": "user", "content": "What is the capital of France?"}
]

client = openai.OpenAI()
for model in ("smollm2", "smollm2:france"):
    reply = client.chat.completions.create(
        model=model, messages=QUESTION, temperature=0, max_tokens=24
    )
    print(f"{model}: {reply.choices[0].message.content}")

raw = client.chat.completions.with_raw_response.create(
    model="smollm2",
    messages=QUESTION,
    temperature=0,
    max_tokens=24,
    extra_headers={HEADER: "france"},
)
print(f"by header, served by {raw.headers[HEADER]}: {raw.parse().choices[0].message.content}")

print("as a stream: ", end="")
for chunk in client.chat.completions.create(
    model="smollm2:france", messages=QUESTION, temperature=0, max_tokens=24, stream=True
):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

try:
    client.chat.completions.create(model="smollm2:spain", messages=QUESTION)
except openai.NotFoundError as error:
    print(f"no such profile: {error.status_code}")
