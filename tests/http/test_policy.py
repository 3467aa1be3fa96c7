"""A key that may use one profile gets that profile's text or an error, whatever it sends and where.

The judge is a key that may use everything, on the same server: what the restricted key gets has to
equal what that one gets of the permitted profile, log-probabilities included, where base and
variants differ.
"""

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from lethe_projections import embedded
from lethe_projections.base_model import BaseModel
from lethe_server.policy import keys
from lethe_server.policy.routes import Needs, table

from .conftest import ENGINE, started
from .profiles import synthetic
from .server import HEADER, QUESTION, Server
from .together import AT_ONCE, together

pytestmark = pytest.mark.timeout(600)

OPEN, RESTRICTED, ADAPTED, ALL_BUT_BASE, ADMIN = (keys.generate() for _ in range(5))
POLICY = f"""
version: 1
keys:
  - {{name: open, sha256: {keys.hashed(OPEN)}, profiles: "*", base: true, adapters: "*"}}
  - {{name: restricted, sha256: {keys.hashed(RESTRICTED)}, profiles: [france]}}
  - {{name: adapted, sha256: {keys.hashed(ADAPTED)}, profiles: [france], adapters: [adapter]}}
  - name: all-but-base
    sha256: {keys.hashed(ALL_BUT_BASE)}
    profiles: "*"
    default: france
  - name: admin
    sha256: {keys.hashed(ADMIN)}
    profiles: "*"
    base: true
    adapters: "*"
    admin: true
"""
TOKENS = 8
MESSAGES = [{"role": "user", "content": QUESTION}]
PROMPT = "The capital of France is"
PROMPT_IDS = [504, 3575, 282, 4649, 314]
SETTINGS = {"temperature": 0, "max_tokens": TOKENS}
SAMPLING = {"temperature": 0, "max_tokens": TOKENS, "logprobs": 2, "prompt_logprobs": 1}

GENERATING: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        {"messages": MESSAGES, **SETTINGS, "logprobs": True, "top_logprobs": 2},
        {"messages": MESSAGES, **SETTINGS, "prompt_logprobs": 1},
        {"messages": MESSAGES, **SETTINGS, "stream": True},
        {"messages": MESSAGES, "temperature": 0, "max_tokens": 3, "use_beam_search": True, "n": 2},
    ],
    "/v1/chat/completions/batch": [{"messages": [MESSAGES, MESSAGES], **SETTINGS}],
    "/v1/completions": [
        {"prompt": PROMPT, **SETTINGS, "logprobs": 2},
        {"prompt": PROMPT, "temperature": 0, "max_tokens": 1, "echo": True, "logprobs": 1},
        {"prompt": PROMPT_IDS, **SETTINGS, "prompt_logprobs": 1},
        {"prompt": [PROMPT, PROMPT], **SETTINGS},
        {"prompt": PROMPT, **SETTINGS, "stream": True},
    ],
    "/v1/responses": [
        {"input": QUESTION, "temperature": 0, "max_output_tokens": TOKENS},
        {"input": QUESTION, "temperature": 0, "max_output_tokens": TOKENS, "store": False},
    ],
    "/v1/messages": [{"messages": MESSAGES, **SETTINGS}],
    "/inference/v1/generate": [{"token_ids": PROMPT_IDS, "sampling_params": SAMPLING}],
    "/generative_scoring": [
        {"query": PROMPT, "items": [" Paris", " Rome"], "label_token_ids": [260, 216]}
    ],
}
"""Bodies whose answers have text or probabilities."""

TEXT_ONLY: dict[str, dict[str, Any]] = {
    "/tokenize": {"prompt": PROMPT},
    "/detokenize": {"tokens": PROMPT_IDS},
    "/v1/messages/count_tokens": {"messages": MESSAGES},
    "/v1/chat/completions/render": {"messages": MESSAGES, **SETTINGS},
    "/v1/completions/render": {"prompt": PROMPT, **SETTINGS},
    "/v1/messages/render": {"messages": MESSAGES, **SETTINGS},
    "/v1/responses/render": {"input": QUESTION},
    "/v1/chat/completions/derender": {},
    "/v1/completions/derender": {},
    "/v1/systemone": {"state": "x", "questions": {}},
}
"""Bodies of routes where no model runs, or not this one."""

VOLATILE = {
    *("id", "created", "created_at", "request_id", "item_id", "system_fingerprint", "usage"),
    *("metrics", "event_id", "prompt_token_ids", "sequence_number", "completed_at"),
}


@dataclass(frozen=True)
class Attempt:
    """Something that a caller may send besides."""

    headers: Mapping[str, str]
    fields: Mapping[str, Any]


def attempt(headers: Mapping[str, str] | None = None, **fields: Any) -> Attempt:
    return Attempt(headers or {}, fields)


ATTEMPTS = {
    "nothing": attempt(),
    "the permitted profile": attempt({HEADER: "france"}),
    "the base": attempt({HEADER: "base"}),
    "another profile": attempt({HEADER: "spain"}),
    "a composition": attempt({HEADER: "france+spain"}),
    "an unknown profile": attempt({HEADER: "portugal"}),
    "the permitted model": attempt(model="smollm2:france"),
    "the base as model": attempt(model="smollm2:base"),
    "another model": attempt(model="smollm2:spain"),
    "no model": attempt(model=None),
    "an adapter": attempt(model="adapter"),
    "a capital model": attempt(model="SmolLM2"),
    "two selections": attempt({HEADER: "france"}, model="smollm2:base"),
    "arguments for the base": attempt(vllm_xargs={"unlearning_profile": "base"}),
    "arguments for another": attempt(vllm_xargs={"unlearning_profile": "spain@" + 64 * "0"}),
    "arguments of no concern": attempt(vllm_xargs={"lethe": "base", "profile": "base"}),
    "a salt": attempt(cache_salt="base"),
    "extra arguments": attempt(extra_args={"unlearning_profile": "base"}, lora_name="adapter"),
    "SageMaker's adapter": attempt({"X-Amzn-SageMaker-Adapter-Identifier": "adapter"}),
    "a forwarded path": attempt({"X-Forwarded-Prefix": "/v1", "X-Original-URL": "/health"}),
    "another way to send a key": attempt({"x-api-key": RESTRICTED}),
}


PARAMETERS = {"name": "spain", "response_id": "resp_1", "path": "app.js"}
"""What stands in a path."""


@pytest.fixture(scope="module")
def server(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With every route that vLLM has for this model, its dangerous ones included."""
    folder = tmp_path_factory.mktemp("policy")
    profiles = folder / "profiles"
    profiles.mkdir()
    for seed, name in enumerate(["france", "spain"], 1):
        (profiles / f"{name}.safetensors").write_bytes(synthetic(base, seed))
    (profiles / "late.safetensors").write_bytes(synthetic(base, 3, scope="generated"))
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    options = ("--profiles", str(profiles), "--policy", str(policy), "--enable-scale-out")
    lora = ("--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"adapter={adapter(folder)}")
    with started(folder, *options, *lora, *ENGINE, VLLM_SERVER_DEV_MODE="1") as found:
        yield found


def adapter(folder: Path) -> Path:
    """A random LoRA adapter for the embedded model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(embedded.prepare())
    config = LoraConfig(
        r=8, target_modules=["down_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    get_peft_model(model, config).save_pretrained(folder / "adapter")
    return folder / "adapter"


def client(server: Server, key: str | None) -> httpx.Client:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=300)


def judged(server: Server, path: str, body: dict[str, Any], profile: str) -> httpx.Response:
    with client(server, OPEN) as open_client:
        body = {"model": "smollm2", **body}
        return open_client.post(path, json=body, headers={HEADER: profile})


def evidence(reply: httpx.Response) -> Any:
    """What an answer says, without what differs between two equal requests."""
    if "event-stream" not in reply.headers["content-type"]:
        return _without_volatile(reply.json())
    lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: {")]
    return [_without_volatile(json.loads(line)) for line in lines]


def _without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_volatile(v) for k, v in value.items() if k not in VOLATILE}
    return [_without_volatile(item) for item in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Equal, but for the last digits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 1e-3
    return bool(one == other)


def said(value: Any) -> list[Any]:
    """Every piece of text and every number of an answer that a model may have made."""
    if isinstance(value, dict):
        return [piece for key, item in value.items() if key != "model" for piece in said(item)]
    if isinstance(value, list):
        return [piece for item in value for piece in said(item)]
    return [value]


def operations(server: Server) -> set[tuple[str, str]]:
    with client(server, RESTRICTED) as restricted:
        paths = restricted.get("/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_every_route_of_the_server_is_in_the_policys_table(server: Server) -> None:
    found = operations(server)
    assert len(found) > 50, "this test would prove nothing"
    assert found - table().keys() == set()


def test_every_route_that_selects_is_tried_below(server: Server) -> None:
    selecting = {path for (method, path) in operations(server)
                 if table()[method, path] is Needs.SELECTION}  # fmt: skip
    assert selecting == GENERATING.keys() | TEXT_ONLY.keys()


def attempted(server: Server, path: str, body: dict[str, Any]) -> dict[str, httpx.Response]:
    """What the restricted key is answered to each attempt, all of them at once if vLLM can.

    Where adapters are served on a CPU, vLLM 0.32's engine ends at a batch in which one request
    wants log-probabilities of its prompt (`add_lora_logits` maps sampled rows only).
    """
    at_once = 1 if "prompt_logprobs" in json.dumps(body) or body.get("echo") else AT_ONCE
    with client(server, RESTRICTED) as restricted:

        def asking(tried: Attempt) -> Callable[[], httpx.Response]:
            # Endpoints differ in which fields they know: unknown ones are ignored.
            content = {"model": "smollm2", **body, **tried.fields}
            return lambda: restricted.post(path, json=content, headers=tried.headers)

        return together({name: asking(tried) for name, tried in ATTEMPTS.items()}, at_once)


@pytest.mark.parametrize(
    ("path", "body"), [(path, body) for path, bodies in GENERATING.items() for body in bodies]
)
def test_a_restricted_key_gets_its_profile_or_an_error(
    server: Server, path: str, body: dict[str, Any]
) -> None:
    judgements = {name: judged(server, path, body, name) for name in ("base", "france", "spain")}
    for reply in judgements.values():
        assert reply.status_code == 200, reply.text
    base, france, spain = ([*said(evidence(reply))] for reply in judgements.values())
    assert not same(base, france), "the variants answer alike: this test would prove nothing"
    assert not same(spain, france), "the variants answer alike: this test would prove nothing"
    served = []
    for name, reply in attempted(server, path, body).items():
        if reply.status_code >= 400:
            assert "choices" not in reply.text, name
            assert same(said(evidence(reply)), france) is False, name
            continue
        served.append(name)
        assert reply.headers[HEADER].startswith("france@"), name
        assert same([*said(evidence(reply))], france), (name, evidence(reply))
    assert {"nothing", "the permitted profile", "the permitted model"} <= set(served)
    forbidden = {"the base", "another profile", "a composition", "an unknown profile"}
    forbidden |= {"the base as model", "another model", "an adapter", "two selections"}
    assert not forbidden & set(served)


@pytest.mark.parametrize("path", TEXT_ONLY)
def test_where_no_model_runs_a_restricted_key_may_name_nothing_else_either(
    server: Server, path: str
) -> None:
    for name, reply in attempted(server, path, TEXT_ONLY[path]).items():
        if name in ("the base", "another profile", "an unknown profile", "another model"):
            assert reply.status_code == 403, (name, reply.text)
        if reply.status_code < 400:
            assert reply.headers[HEADER].startswith("france@"), name


def test_every_other_route_is_refused_or_says_nothing_of_the_rest(server: Server) -> None:
    """Each as it is, before anything of the request is looked at."""
    with client(server, RESTRICTED) as restricted, client(server, None) as keyless:
        for method, path in sorted(operations(server)):
            needed, url = table()[method, path], path.format(**PARAMETERS)
            if needed is Needs.SELECTION:
                continue
            reply = restricted.request(method, url, json={})
            if needed in (Needs.ADMIN, Needs.EVERYTHING):
                assert reply.status_code == 403, (method, path, reply.text)
            # Errors say what was asked for; nothing else is to.
            answer = reply.text.replace(url, "").replace("'spain'", "")
            assert "spain" not in answer, (method, path)
            expected = 200 if needed is Needs.NOTHING else 401
            assert keyless.request(method, url, json={}).status_code == expected, (method, path)


def test_lists_name_what_a_key_may_use(server: Server) -> None:
    def listed(key: str) -> list[list[str]]:
        with client(server, key) as one:
            urls = ("/v1/models", "/v1/unlearning/profiles")
            return [[entry["id"] for entry in one.get(url).json()["data"]] for url in urls]

    assert listed(RESTRICTED) == [["smollm2", "smollm2:france"], ["france"]]
    assert listed(OPEN)[1] == ["france", "late", "spain"]
    with client(server, RESTRICTED) as restricted:
        assert restricted.get("/v1/unlearning/profiles/france").status_code == 200
        assert restricted.get("/v1/unlearning/profiles/spain").status_code == 403
        assert restricted.get("/v1/unlearning/profiles/portugal").status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions/"),
        ("POST", "//v1/chat/completions"),
        ("POST", "/v1//chat/completions"),
        ("POST", "/V1/CHAT/COMPLETIONS"),
        ("POST", "/v1/chat/completions%0A"),
        ("POST", "/v1/%2e/chat/completions"),
        ("POST", "/v1/chat/completions;x"),
        ("POST", "/health/../v1/chat/completions"),
        ("POST", "/metrics/v1/chat/completions"),
        ("POST", "/metricsv1/chat/completions"),
        ("HEAD", "/v1/models"),
        ("OPTIONS", "/v1/chat/completions"),
        ("PUT", "/v1/chat/completions"),
        ("GET", "/metrics/"),
        ("GET", "/metrics/x"),
        ("POST", "/metrics"),
        ("GET", "/static/x"),
    ],
)
def test_another_spelling_of_a_path_is_refused(server: Server, method: str, path: str) -> None:
    # Not httpx, which would correct some of them.
    address = httpx.URL(server.url)
    connection = http.client.HTTPConnection(address.host, address.port, timeout=300)
    content = json.dumps({"model": "smollm2", "messages": MESSAGES, **SETTINGS})
    headers = {"content-type": "application/json", "Authorization": f"Bearer {RESTRICTED}"}
    connection.request(method, path, content, headers)
    reply = connection.getresponse()
    assert reply.status == 403, reply.read()
    connection.close()


def test_an_encoded_path_is_the_path(server: Server) -> None:
    """As the router reads it, so does the policy."""
    with client(server, RESTRICTED) as restricted:
        url = httpx.URL(server.url).copy_with(raw_path=b"/v1/ch%61t/completions")
        body = {"model": "smollm2", "messages": MESSAGES, **SETTINGS}
        reply = restricted.post(url, json=body)
        assert reply.headers[HEADER].startswith("france@")
        assert restricted.post(url, json=body, headers={HEADER: "base"}).status_code == 403


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "a/b"])
def test_a_body_that_cannot_be_read_is_refused(server: Server, content_type: str) -> None:
    content = json.dumps({"model": "smollm2:base", "messages": MESSAGES, **SETTINGS})
    with client(server, RESTRICTED) as restricted:
        headers = {"content-type": content_type}
        reply = restricted.post("/v1/chat/completions", content=content, headers=headers)
    assert reply.status_code == 400


def test_a_repeated_model_is_refused(server: Server) -> None:
    content = '{"model": "smollm2:base", "model": "smollm2", "prompt": "x", "max_tokens": 1}'
    with client(server, RESTRICTED) as restricted:
        headers = {"content-type": "application/json"}
        assert restricted.post("/v1/completions", content=content, headers=headers).is_error


def test_what_another_key_had_stored_is_out_of_reach(server: Server) -> None:
    body = {"model": "smollm2", "input": QUESTION, "max_output_tokens": TOKENS, "temperature": 0}
    with client(server, OPEN) as one, client(server, RESTRICTED) as restricted:
        stored = one.post("/v1/responses", json=body).json()["id"]
        assert one.get(f"/v1/responses/{stored}").json()["output"], "nothing is stored"
        for reply in (
            restricted.get(f"/v1/responses/{stored}"),
            restricted.get(f"/v1/responses/{stored}?stream=true"),
            restricted.post(f"/v1/responses/{stored}/cancel"),
            restricted.post("/v1/responses", json={**body, "previous_response_id": stored}),
            restricted.post("/v1/responses", json={**body, "request_id": stored}),
        ):
            assert reply.status_code == 403, reply.text


def test_a_comparison_is_of_permitted_profiles(server: Server) -> None:
    def compare(key: str, *profiles: str, header: str = "Authorization") -> httpx.Response:
        value = f"Bearer {key}" if header == "Authorization" else key
        body = {"messages": MESSAGES, "profiles": profiles, "max_tokens": TOKENS}
        with client(server, None) as one:
            return one.post("/v1/unlearning/compare", json=body, headers={header: value})

    base, france = (r["text"] for r in compare(OPEN, "base", "france").json()["results"])
    assert base != france
    for header in ("Authorization", "x-api-key"):
        found = compare(RESTRICTED, "france", header=header)
        assert [result["text"] for result in found.json()["results"]] == [france]
    for profiles in (["base"], ["france", "base"], ["spain"], ["france+spain"], ["portugal"]):
        assert compare(RESTRICTED, *profiles).status_code == 403


def test_an_experiment_gives_a_restricted_key_no_more(server: Server) -> None:
    arms = {"forbidden": ("base", "spain"), "permitted": ("france", "france")}
    body = {"model": "smollm2", "prompt": PROMPT, "max_tokens": 1}
    for name, profiles in arms.items():
        plan = [{"name": f"arm-{n}", "profile": one} for n, one in enumerate(profiles)]
        with client(server, ADMIN) as admin:
            made = admin.post("/v1/unlearning/experiments", json={"name": name, "arms": plan})
            assert made.status_code == 201, made.text
        for unit in "abcdef":
            headers = {"X-Unlearning-Experiment": name, "X-Unlearning-Unit": unit}
            with client(server, RESTRICTED) as restricted, client(server, OPEN) as free:
                reply = restricted.post("/v1/completions", json=body, headers=headers)
                assert reply.status_code == (403 if name == "forbidden" else 200), reply.text
                assert name == "permitted" or "arm-" not in f"{reply.text} {reply.headers}"
                if reply.status_code == 200:
                    assert reply.headers[HEADER].startswith("france@")
                assert free.post("/v1/completions", json=body, headers=headers).status_code == 200
        with client(server, ADMIN) as admin:
            assert admin.delete(f"/v1/unlearning/experiments/{name}").status_code == 200


def test_an_adapter_is_for_keys_that_may_use_it_on_their_profile(server: Server) -> None:
    def ask(key: str, profile: str | None = None) -> httpx.Response:
        body = {"model": "adapter", "messages": MESSAGES, **SETTINGS}
        headers = {} if profile is None else {HEADER: profile}
        with client(server, key) as one:
            return one.post("/v1/chat/completions", json=body, headers=headers)

    def text(reply: httpx.Response) -> str:
        return str(reply.json()["choices"][0]["message"]["content"])

    on_base, on_france = ask(OPEN), ask(OPEN, "france")
    assert text(on_base) != text(on_france)
    adapted = ask(ADAPTED)
    assert adapted.headers[HEADER].startswith("france@")
    assert text(adapted) == text(on_france)
    assert ask(ADAPTED, "base").status_code == ask(RESTRICTED).status_code == 403
    for key, shown in ((OPEN, True), (ADAPTED, True), (RESTRICTED, False)):
        with client(server, key) as one:
            assert ("adapter" in one.get("/v1/models").text) is shown


def test_an_adapter_named_by_a_part_of_a_message_is_an_adapter(server: Server) -> None:
    """As vLLM chooses those for images and sounds: by the part's `type`."""

    def ask(key: str, **part: Any) -> httpx.Response:
        parts = [{"type": "text", "text": QUESTION}, *([part] if part else [])]
        body = {"model": "smollm2", "messages": [{"role": "user", "content": parts}], **SETTINGS}
        with client(server, key) as one:
            return one.post("/v1/chat/completions", json=body, headers={HEADER: "france"})

    def text(reply: httpx.Response) -> str:
        return str(reply.json()["choices"][0]["message"]["content"])

    part = {"type": "adapter", "uuid": "u", "tool_reference": 1, "name": "x"}
    assert text(ask(ADAPTED, **part)) != text(ask(RESTRICTED)), "it chose no adapter"
    refused = ask(RESTRICTED, **part)
    assert refused.status_code == 403, refused.text
    assert "adapter" in refused.json()["error"]["message"]


def test_a_profile_that_spares_tokens_is_for_keys_that_may_use_the_base(server: Server) -> None:
    """Its first token, and its prompt's log-probabilities, are the base's."""
    body = {"model": "smollm2", "prompt": PROMPT_IDS, **SETTINGS, "prompt_logprobs": 1}
    with client(server, OPEN) as one:
        served = one.post("/v1/completions", json=body, headers={HEADER: "late"})
    found, base = (
        [*said(evidence(reply)["choices"][0]["prompt_logprobs"])]
        for reply in (served, judged(server, "/v1/completions", body, "base"))
    )
    assert same(found, base), "it edits the prompt: this test would prove nothing"
    with client(server, ALL_BUT_BASE) as one:
        for name in ("late", "france+late"):
            reply = one.post("/v1/completions", json=body, headers={HEADER: name})
            assert reply.status_code == (403 if name == "late" else 200), reply.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer lethe-unknown"},
        {"Authorization": OPEN},
        {"Authorization": f"Basic {OPEN}"},
        {"Authorization": f"Bearer {OPEN}", "x-api-key": RESTRICTED},
        {"Authorization": "", "x-api-key": OPEN},
        {"Authorization": f"Bearer {keys.hashed(OPEN)}"},
        {"Authorization": f"Bearer {OPEN} "[:-2]},
    ],
)
def test_a_request_without_a_known_key_is_refused(server: Server, headers: dict[str, str]) -> None:
    with client(server, None) as one:
        body = {"model": "smollm2", "prompt": "x", "max_tokens": 1}
        reply = one.post("/v1/completions", json=body, headers={**headers, HEADER: "spain"})
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert "spain" not in reply.text


def test_a_changed_policy_is_followed_and_a_wrong_one_is_not(server: Server) -> None:
    """Last: it puts back what the others need."""
    policy = server.log.parent / "policy.yaml"
    body = {"model": "smollm2", "messages": MESSAGES, **SETTINGS}
    with client(server, RESTRICTED) as restricted, client(server, ADMIN) as admin:

        def statuses() -> list[int]:
            url, asked = "/v1/chat/completions", ("france", "spain")
            return [restricted.post(url, json=body, headers={HEADER: n}).status_code for n in asked]

        assert statuses() == [200, 403]
        policy.write_text(POLICY.replace("[france]", "[spain]"))
        assert statuses() == [403, 200]
        read = server.log.read_text().count("key(s) from")
        os.kill(server.pid, signal.SIGHUP)
        assert statuses() == [403, 200]
        assert server.log.read_text().count("key(s) from") == read + 1
        policy.write_text(POLICY.replace("[france]", "[France]"))
        assert statuses() == [403, 200]
        reply = admin.post("/v1/unlearning/policy/reload")
        assert reply.status_code == 409
        assert "line 5, keys.1.profiles.0: " in reply.json()["error"]["message"]
        policy.write_text(POLICY)
        assert restricted.post("/v1/unlearning/policy/reload").status_code == 403
        assert admin.post("/v1/unlearning/policy/reload").json()["keys"] == [
            "open", "restricted", "adapted", "all-but-base", "admin",
        ]  # fmt: skip
        assert statuses() == [200, 403]
    log = server.log.read_text()
    assert not any(key in log for key in (OPEN, RESTRICTED, ADAPTED, ALL_BUT_BASE, ADMIN))
