"""What an operator keeps of a server: its audit, its log and its spans, and that it ends well."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel

from .conftest import OPTIONS, started
from .profiles import synthetic
from .server import API_KEY, HEADER, QUESTION, Server

STORY = "Write a long story about a lighthouse keeper and his dog."
TOKENS = 200


@dataclass
class Collector(otlp_grpc.TraceServiceServicer):  # type: ignore[misc]
    """An OpenTelemetry collector that keeps the attributes of every span."""

    spans: list[dict[str, Any]] = field(default_factory=list)

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += [
                    {one.key: one.value.string_value for one in span.attributes}
                    for span in scope.spans
                ]
        return otlp.ExportTraceServiceResponse()

    def span_of(self, request_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for span in self.spans:
                if request_id in span.get("gen_ai.request.id", ""):
                    return span
            time.sleep(0.1)
        raise AssertionError(f"no span of {request_id} among {self.spans}")


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, int]]:
    found = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    otlp_grpc.add_TraceServiceServicer_to_server(found, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found, port
    server.stop(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operations")


@pytest.fixture(scope="module")
def server(folder: Path, collector: tuple[Collector, int]) -> Iterator[Server]:
    options = ("--audit", str(folder / "audit"), "--lethe-log", "json", "--shutdown-timeout", "60")
    traces = ("--otlp-traces-endpoint", f"http://127.0.0.1:{collector[1]}")
    faster = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
    with started(folder, *OPTIONS, *options, *traces, **faster) as found:
        yield found


def audited(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "audit").read_text().splitlines()]


def eventually(folder: Path, **wanted: Any) -> list[dict[str, Any]]:
    """The audit's lines with these fields, once there are some."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := [line for line in audited(folder) if wanted.items() <= line.items()]:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no line with {wanted} among {audited(folder)}")


def ask(server: Server, request_id: str, profile: str) -> httpx.Response:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": QUESTION}]}
    with server.client as client:
        return client.post(
            "/v1/chat/completions",
            json={**body, "max_tokens": 4},
            headers={"X-Request-Id": request_id, HEADER: profile},
        )


def test_audit_log_and_span_name_the_digest_that_served_a_request(
    server: Server, folder: Path, base: BaseModel, collector: tuple[Collector, int]
) -> None:
    data = synthetic(base, 1)
    digest = artifact.digest(data)
    assert server.put("alpha", data).status_code == 201
    for request_id, profile, expected in (("mine-1", "alpha", digest), ("mine-2", "base", None)):
        reply = ask(server, request_id, profile)
        assert reply.status_code == 200
        assert reply.headers["x-request-id"] == request_id
        assert request_id in reply.json()["id"], "vLLM's own id does not contain it"
        [line] = eventually(folder, request=request_id)
        assert (line["profile"], line["digest"], line["status"]) == (profile, expected, 200)
        span = collector[0].span_of(request_id)
        assert (span["lethe.profile"], span.get("lethe.digest")) == (profile, expected)
    logged = {
        found["request"]: found
        for line in server.log.read_text().splitlines()
        if line.startswith('{"time"') and (found := json.loads(line))
    }
    assert logged["mine-1"]["digest"] == digest[:12]
    assert (logged["mine-2"]["profile"], logged["mine-2"]["status"]) == ("base", 200)
    assert logged["mine-1"]["ms"] > 1
    whole = json.dumps([*logged.values(), *audited(folder)])
    assert API_KEY not in whole
    assert QUESTION not in whole


def test_a_change_is_audited_by_the_time_it_is_answered(
    server: Server, folder: Path, base: BaseModel
) -> None:
    old, new = synthetic(base, 2), synthetic(base, 3)
    for data in (old, new):
        reply = server.put("changing", data)
    assert server.delete("changing").status_code == 200
    lines = [line for line in audited(folder) if line.get("name") == "changing"]
    before, after = artifact.digest(old), artifact.digest(new)
    changes = [(None, before), (before, after), (after, None)]
    expected = [(*change, outcome) for change in changes for outcome in ("begun", "done")]
    assert [(one["before"], one["after"], one["outcome"]) for one in lines] == expected
    assert reply.headers["x-request-id"] == lines[2]["request"]


def test_a_change_that_cannot_be_audited_is_not_made(
    server: Server, folder: Path, base: BaseModel
) -> None:
    audit = folder / "audit"
    audit.rename(folder / "rotated")
    audit.mkdir()
    refused = server.put("unaudited", synthetic(base, 4))
    assert refused.status_code == 503
    assert "it was not made" in refused.json()["error"]["message"]
    assert server.chat(QUESTION, "unaudited").status_code == 404
    audit.rmdir()
    assert server.put("audited", synthetic(base, 4)).status_code == 201
    assert {line["name"] for line in audited(folder) if line["event"] == "change"} == {"audited"}
    assert (folder / "rotated").read_bytes().endswith(b"\n")


def test_a_stream_under_way_is_finished_when_the_server_is_told_to_stop(
    server: Server, folder: Path
) -> None:
    """The last test: the server is gone after it."""
    process = psutil.Process(server.pid)
    expected = "".join(piece for piece, _ in server.chunks(STORY, "audited", TOKENS))
    found: list[tuple[str, int]] = []
    with closing(server.chunks(STORY, "audited", TOKENS)) as chunks:
        for chunk in chunks:
            if not found:
                process.send_signal(signal.SIGTERM)
            found.append(chunk)
    assert "".join(piece for piece, _ in found) == expected
    assert found[0][1] < found[-1][1] == TOKENS, "it was over already: this would prove nothing"
    process.wait(60)
    lines = audited(folder)  # each of them a whole document
    served = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in served[-2:]] == [200, 200]
    assert (folder / "audit").read_bytes().endswith(b"\n")
