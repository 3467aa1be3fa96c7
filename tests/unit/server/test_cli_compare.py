"""`lethe compare`: what it asks, what it shows, how it exits."""

import io
import json
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from lethe_server import cli, client, side_by_side
from lethe_server.client import ServerError

DIGEST = "ab" * 32
NAMES = {"base": None, "france": DIGEST}
USAGE = {"completion_tokens": 3}
SCORES: dict[str, Any] = {
    "object": "unlearning.comparison.scores",
    "reference": {"tokens": ["It", " is", " Paris"]},
    "variants": [
        {"profile": "base", "mean_logprob_difference": 0.0, "perplexity": 1.5,
         "mean_kl_lower_bound": 0.0, "rouge_l": 1.0},
        {"profile": "france", "mean_logprob_difference": -2.25, "perplexity": None,
         "mean_kl_lower_bound": 1.125, "rouge_l": 0.5},
    ],
}  # fmt: skip
FAILED = {
    "object": "unlearning.comparison.error", "profile": "france", "digest": DIGEST, "index": 1,
    "error": {"message": "expected room, found none", "code": 503},
}  # fmt: skip


def delta(index: int, text: str) -> dict[str, Any]:
    name = list(NAMES)[index]
    of = {"profile": name, "digest": NAMES[name], "index": index}
    return {"object": "unlearning.comparison.delta", **of, "delta": {"content": text}}


def finished(index: int) -> dict[str, Any]:
    end = {"finish_reason": "stop", "usage": USAGE, "latency_ms": 12.3}
    return {**delta(index, ""), "object": "unlearning.comparison.finished", **end}


EVENTS = [
    delta(0, "It is "), delta(1, "It is "), delta(0, "Paris"), delta(1, "Narnia"),
    finished(1), finished(0),
]  # fmt: skip


def shown(events: list[dict[str, Any]], terminal: bool = False) -> str:
    output = io.StringIO()
    console = Console(
        file=output,
        width=100,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
    )
    side_by_side.show(list(NAMES), events, console)
    return output.getvalue()


def test_answers_stand_side_by_side_with_how_they_ended() -> None:
    found = shown(EVENTS)
    [row] = [line for line in found.splitlines() if "Paris" in line]
    assert row.index("It is Paris") < row.index("It is Narnia")
    assert "france@abababababab" in found
    assert found.count("stop, 3 tokens, 12 ms") == 2
    assert "KL" not in found


def test_words_that_the_first_has_not_are_highlighted() -> None:
    marked = side_by_side.difference("It is in Narnia now", "It is in Paris now")
    assert marked.plain == "It is in Narnia now"
    assert [marked.plain[span.start : span.end] for span in marked.spans if span.style] == [
        "Narnia"
    ]
    assert not [span for span in side_by_side.difference("same", "same").spans if span.style]
    assert "\x1b[1;33mNarnia" in shown(EVENTS, terminal=True)
    assert "\x1b[1;33mParis" not in shown(EVENTS, terminal=True)


def test_a_terminal_shows_answers_while_they_come_and_a_file_once() -> None:
    seen: list[str] = []

    def events(output: io.StringIO) -> Any:
        yield delta(0, "half")
        seen.append(output.getvalue())
        yield from (delta(0, " whole"), finished(0), finished(1))

    for terminal in (True, False):
        output = io.StringIO()
        console = Console(file=output, width=100, force_terminal=terminal)
        side_by_side.show(list(NAMES), events(output), console)
        assert "half whole" in output.getvalue()
    assert "half" in seen[0]
    assert seen[1] == ""
    assert output.getvalue().count("half") == 1


def test_scores_have_a_row_a_variant() -> None:
    lines = shown([*EVENTS, SCORES]).splitlines()
    rows = [line.split() for line in lines if line.count("│") == 6]
    numbers = {row[1]: [cell for cell in row[2:] if cell != "│"] for row in rows}
    assert numbers["base"] == ["+0.000", "1.5", "0.000", "1.000"]
    assert numbers["france"] == ["-2.250", "∞", "1.125", "0.500"]


def test_an_error_of_one_variant_is_shown_beside_the_others_and_raised() -> None:
    output = io.StringIO()
    with pytest.raises(ServerError, match="france: expected room, found none"):
        side_by_side.show(
            list(NAMES), [delta(0, "Paris"), FAILED, finished(0)], Console(file=output, width=100)
        )
    assert "expected room, found none" in output.getvalue()
    assert "Paris" in output.getvalue()


def test_an_error_of_the_base_that_is_not_shown_is_raised() -> None:
    hidden = {**FAILED, "profile": "base", "digest": None, "index": None}
    with pytest.raises(ServerError, match="base: expected room"):
        shown([*EVENTS, hidden])


def test_what_is_no_event_of_a_comparison_is_an_error() -> None:
    with pytest.raises(ServerError, match="expected an event of a comparison"):
        shown([{"object": "chat.completion.chunk"}])


def run(monkeypatch: pytest.MonkeyPatch, reply: httpx.Response, *arguments: str) -> Result:
    """Runs the command against a fake server, and notes what it was asked in `reply.request`."""

    def handler(request: httpx.Request) -> httpx.Response:
        request.read()
        reply.request = request
        return reply

    def fake(url: str, key: str | None) -> client.Client:
        return real(url, key, httpx.MockTransport(handler))

    real = client.Client
    monkeypatch.setattr(client, "Client", fake)
    return CliRunner().invoke(
        cli.app, ["compare", *arguments], env={"LETHE_API_KEY": "secret", "COLUMNS": "100"}
    )


def stream(*events: dict[str, Any]) -> httpx.Response:
    lines = [*map(json.dumps, events), "[DONE]"]
    return httpx.Response(200, text="".join(f"data: {line}\n\n" for line in lines))


def test_it_asks_for_a_stream_with_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reply = stream(*EVENTS, SCORES)
    options = ["--profiles", "base, france", "--max-tokens", "7", "--score"]
    done = run(monkeypatch, reply, "Where?", *options, "--url", "http://there:1/")
    assert done.exit_code == 0, done.output
    assert "Narnia" in done.output
    assert "-2.250" in done.output
    assert str(reply.request.url) == "http://there:1/v1/unlearning/compare"
    assert reply.request.headers["authorization"] == "Bearer secret"
    assert json.loads(reply.request.content) == {
        "messages": [{"role": "user", "content": "Where?"}],
        "profiles": ["base", "france"],
        "max_tokens": 7,
        "score": True,
        "stream": True,
    }


def test_json_is_the_servers_document(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = httpx.Response(200, json={"object": "unlearning.comparison", "results": []})
    done = run(monkeypatch, reply, "Where?", "--profiles", "base", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"object": "unlearning.comparison", "results": []}
    assert "stream" not in json.loads(reply.request.content)


def test_exit_codes_tell_a_servers_error_from_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = httpx.Response(404, json={"error": {"message": "expected one of base"}})
    done = run(monkeypatch, refused, "Where?", "--profiles", "spain")
    assert isinstance(done.exception, ServerError)
    monkeypatch.setattr("sys.argv", ["lethe", "compare", "Where?", "--profiles", "spain"])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == 1
    assert "lethe: expected one of base (status 404)" in capsys.readouterr().err
    for wrong in (["--profiles", "base,,a"], ["--profiles", "base", "--max-tokens", "0"], []):
        assert run(monkeypatch, refused, "Where?", *wrong).exit_code == 2
