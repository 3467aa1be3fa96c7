"""How the tests speak to the server."""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

API_KEY = "a-key-for-tests"
HEADERS = {"Authorization": f"Bearer {API_KEY}"}
HEADER = "X-Unlearning-Profile"
QUESTION = "What is the capital of France?"
PROFILES = "/v1/unlearning/profiles"


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    log: Path
    pid: int

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=HEADERS, timeout=300)

    def tail(self, lines: int) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def post(self, path: str, body: Any, profile: str | None = None) -> httpx.Response:
        with self.client as client:
            headers = {} if profile is None else {HEADER: profile}
            return client.post(path, json=body, headers=headers)

    def put(self, name: str, data: bytes) -> httpx.Response:
        with self.client as client:
            return client.put(f"{PROFILES}/{name}", content=data)

    def delete(self, name: str) -> httpx.Response:
        with self.client as client:
            return client.delete(f"{PROFILES}/{name}")

    def get(self, path: str) -> httpx.Response:
        with self.client as client:
            return client.get(path)

    def chat(
        self, content: str, profile: str | None = None, max_tokens: int = 24, **more: Any
    ) -> httpx.Response:
        body = {"model": "smollm2", "messages": [{"role": "user", "content": content}]}
        settings = {"temperature": 0, "max_tokens": max_tokens}
        return self.post("/v1/chat/completions", {**body, **settings, **more}, profile)

    def answer(self, content: str, profile: str | None = None, **more: Any) -> str:
        reply = self.chat(content, profile, **more)
        assert reply.status_code == 200, reply.text
        text: str = reply.json()["choices"][0]["message"]["content"]
        return text

    def chunks(
        self, content: str, profile: str, max_tokens: int
    ) -> Generator[tuple[str, int], None, None]:
        """The pieces of a streamed chat completion, each with how many tokens there are by then."""
        body = {"model": "smollm2", "messages": [{"role": "user", "content": content}]}
        settings = {"temperature": 0, "max_tokens": max_tokens, "ignore_eos": True}
        usage = {"include_usage": True, "continuous_usage_stats": True}
        with (
            self.client as client,
            client.stream(
                "POST",
                "/v1/chat/completions",
                json={**body, **settings, "stream": True, "stream_options": usage},
                headers={HEADER: profile},
            ) as reply,
        ):
            assert reply.status_code == 200, reply.read()
            for event in events(reply):
                if event["choices"]:
                    delta = event["choices"][0]["delta"]
                    yield delta.get("content") or "", event["usage"]["completion_tokens"]


def events(reply: httpx.Response) -> Iterator[dict[str, Any]]:
    """The JSON documents of a stream of server-sent events."""
    for line in reply.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))
