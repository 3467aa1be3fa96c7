"""A server over facts in place of a model, and a suite about them. Its tokens are characters."""

import json
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lethe_server.asking import HEADER
from lethe_server.client import Client

DIGEST, MODEL = "cd" * 32, "ab" * 32
KEY = "a-secret-key"
SEED = 27
NAMES = ("Arda", "Brel", "Cora", "Doma", "Elva", "Faro")
TOWNS = ("Kesh", "Lund", "Moro", "Nila", "Opal", "Prat")
SETS = {"forget": "N", "neighbour": "S", "unrelated": "E", "never_known": "W"}
"""Each subject of a set is called by its letter: Narda is to be forgotten, Sarda is kept."""

FACTS = {
    letter + name.lower(): town for letter in "NSE" for name, town in zip(NAMES, TOWNS, strict=True)
}

Change = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Fake:
    """What the server knows, and what it was asked.

    Attributes:
        says: the answers of base and variant, from what one that knows everything would say.
        digests: what answers say served them; the last from then on.
        scopes: of the profile.
        models: that there are.
        engine: what computes, as a profile's document says.
        template: what the chat template writes first; None for a model without one.
        settings: of the answers that were asked for.
        asked: paths and the variant asked for, in order.
        put: evidence that was uploaded.
        broken: raised in place of the answer of that number.
    """

    says: dict[str, Callable[[str], str]] = field(default_factory=dict)
    digests: list[str] = field(default_factory=lambda: [DIGEST])
    scopes: tuple[str, ...] = ("all",)
    models: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": "m:x", "parent": "m"}, {"id": "m", "parent": None}]
    )
    engine: dict[str, str | None] = field(
        default_factory=lambda: {"dtype": "bfloat16", "quantization": None}
    )
    template: str | None = ""
    settings: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    put: list[Any] = field(default_factory=list)
    broken: dict[int, BaseException] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self) -> Client:
        return Client("http://server", KEY, httpx.MockTransport(self._handle))

    def generated(self) -> list[str]:
        """Who was asked for an answer, tokenising aside."""
        return [name for path, name in self.asked if path.startswith("/v1/c")]

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, json.loads(request.content or b"{}")
        name = request.headers.get(HEADER, "")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        if request.method == "PUT":
            self.put.append((path, body))
            return httpx.Response(200, json=body)
        if request.method == "GET":
            return httpx.Response(200, json=self._described(path))
        with self._lock:
            self.asked.append((path, name))
            number = len(self.generated())
            served = self.digests[min(number, len(self.digests)) - 1]
        if path == "/tokenize" and self.template is None and "messages" in body:
            return httpx.Response(400, json={"error": {"message": "no chat template"}})
        if path == "/tokenize":
            before = self.template or "" if "messages" in body else ""
            return httpx.Response(200, json={"tokens": list(map(ord, before + text_of(body)))})
        self.settings.append(body)
        if number in self.broken:
            raise self.broken[number]
        told = name if name == "base" else f"{name.partition('@')[0]}@{served[:12]}"
        choice = self._choice(path, body, self.says[name.partition("@")[0]])
        content = json.dumps({"choices": [choice]})
        return httpx.Response(200, content=content, headers={HEADER: told})

    def _described(self, path: str) -> Any:
        if path == "/version":
            return {"version": "0.0"}
        if path == "/v1/models":
            return {"data": self.models}
        assert path == "/v1/unlearning/profiles/france", path
        return {
            "digest": self.digests[0],
            "method": "rocr",
            "scopes": list(self.scopes),
            "base": {"fingerprint": MODEL},
            "engine": self.engine,
        }

    def _choice(self, path: str, body: Any, says: Callable[[str], str]) -> dict[str, Any]:
        assert body["model"] == "m"
        if "prompt_logprobs" in body:
            return {"prompt_logprobs": read(body["prompt"], says), "text": "x"}
        assert body["temperature"] == 0
        said = says(known(text_of(body)))
        return {"text": said} if path == "/v1/completions" else {"message": {"content": said}}


def text_of(body: Any) -> str:
    """A body's prompt as text: messages, one a line, the last of them open or a reply begun."""
    if "prompt" in body:
        return str(body["prompt"])
    lines = [f"{one['role']}: {one['content']}" for one in body["messages"]]
    assert body["add_generation_prompt"] is not body.get("continue_final_message", False)
    return "\n".join(lines) + ("" if body.get("continue_final_message") else "\nassistant: ")


def known(text: str) -> str:
    """What one that knows everything says."""
    found = [town for subject, town in FACTS.items() if subject in text]
    return f"It is {found[0]}, and four." if found else "I do not know."


def read(ids: list[int], says: Callable[[str], str]) -> list[Any]:
    """Log-probabilities: of an answer that is said, likely, and of any other unlikely.

    What says nothing but marks finds one as likely as another, at random, the same for a text.
    """
    text = "".join(map(chr, ids))
    answer = text.rpartition("assistant: ")[2]
    said = says(known(text))
    if said == overflows(""):
        numbers = [{str(token): {"logprob": math.nan}, "1": {"logprob": math.nan}} for token in ids]
        return [None, *numbers[1:]]
    at_random = -9.0 - random.Random(f"{SEED} {text}").random()
    likely = -0.5 if answer in said else -4.0 if "?" not in said else at_random
    entries = [
        {str(token): {"logprob": likely, "rank": 2}, "1": {"logprob": -0.6}} for token in ids
    ]
    return [None, *entries[1:]]


def suite(folder: Path, *, rest: str = "", change: Change = lambda _: {}, **more: Any) -> Path:
    """A suite's file about the facts, in five forms.

    Args:
        folder: where.
        rest: what follows the town in each answer.
        change: what else a fact has, from what it has.
        more: forms.
    """
    forms = {
        "question": ["What is the town of {subject}?"],
        "cloze": ["The town of {subject} is"],
        "ranking": ["What is the town of {subject}?"],
        "prefix": [{"turns": ["What is the town of {subject}?"], "reply": "Sure, it is"}],
        "mixed": [{"turns": ["What is the town of {subject}, and 2 + 2?"], "kept": ["four"]}],
        **more,
    }
    about = {"name": "towns", "version": "1", "description": "Towns.", "licence": "CC0-1.0"}
    lines: list[dict[str, Any]] = [{"suite": 1, **about, "relations": {"town": {"forms": forms}}}]
    for one, letter in SETS.items():
        for at, name in enumerate(NAMES):
            wrong = [TOWNS[(at + 1) % 6], TOWNS[(at + 2) % 6]]
            fact: dict[str, Any] = {"subject": letter + name.lower(), "relation": "town"}
            fact["set"] = one
            fact = {**fact, "answers": [TOWNS[at] + rest], "wrong": [one + rest for one in wrong]}
            lines.append({**fact, **change(fact)})
    file = folder / "towns.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def retain(folder: Path, *more: dict[str, Any]) -> Path:
    """Texts that should not change."""
    lines = [
        *({"question": f"Say {name}.", "answer": f"It is {name}."} for name in NAMES),
        {"text": "Water is wet, and fire is hot."},
        {"messages": [{"role": "user", "content": "No reply to this."}]},
        *more,
    ]
    file = folder / "retain.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def idle(said: str) -> str:
    """A profile that does nothing."""
    return said


def noise(_: str) -> str:
    """A profile that destroys everything."""
    return "??? ? ??"


def overflows(_: str) -> str:
    """A profile of which the engine says no number."""
    return ""


def forgets(said: str) -> str:
    """Nothing is left of any town."""
    return "I do not know." if "It is" in said else said
