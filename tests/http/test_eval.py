"""`lethe eval` against a real server: its two ends, its two ways, and what the server shows."""

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server import cli
from lethe_server.client import ServerError
from lethe_server.evaluating.evidence import Evidence, Measure

from .server import API_KEY, Server

SUBJECTS = {
    "forget": ("France",),
    "neighbour": ("Germany", "Italy", "Japan"),
}
"""Of the packaged capitals; and a few of each of the other sets."""
OTHERS = 1
TEXTS = 4
MAX_TOKENS = 24
"""Of an answer: enough for any of these."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = resources.files("lethe_projections.evaluation") / "data" / "capitals.jsonl"
    first, *lines = data.read_text("utf-8").splitlines()
    header = json.loads(first)
    for relation in header["relations"].values():
        relation["forms"] = {form: asked[:1] for form, asked in relation["forms"].items()}
    facts = [json.loads(line) for line in lines]
    chosen = [
        {**fact, "set": name}
        for name, subjects in SUBJECTS.items()
        for fact in facts
        if fact["subject"] in subjects and fact["relation"] == "capital"
    ]
    for name in ("unrelated", "never_known"):
        chosen += [fact for fact in facts if fact["set"] == name][:OTHERS]
    assert len(chosen) == 4 + 2 * OTHERS
    file = tmp_path_factory.mktemp("suite") / "few.jsonl"
    file.write_text("\n".join(map(json.dumps, [header, *chosen])))
    return file


def edit(base: BaseModel, scale: float) -> bytes:
    """Nothing, or noise on the residual stream that leaves no sense in what is said."""
    generator = torch.Generator().manual_seed(3)
    A, B = (torch.randn(8, base.hidden_size, generator=generator) for _ in range(2))
    return artifact.to_bytes(Profile(base, (Projector(Site(12, "block"), A, scale * B),), "edit"))


@pytest.fixture(scope="module")
def ends(server: Server, base: BaseModel) -> Iterator[None]:
    for name, scale in (("idle", 0.0), ("noise", 1.0)):
        assert server.put(name, edit(base, scale)).status_code == 201
    yield
    for name in ("idle", "noise"):
        server.delete(name)


def evaluate(*arguments: str) -> Evidence:
    environment = {"LETHE_API_KEY": API_KEY}
    limits = ["--texts", str(TEXTS), "--max-tokens", str(MAX_TOKENS)]
    given = [*limits, "--json", *arguments]
    done = CliRunner().invoke(cli.app, ["eval", *given], env=environment)
    if done.exception is not None:
        raise done.exception
    return Evidence.model_validate(json.loads(done.stdout))


def over_http(server: Server, profile: str, suite: Path, out: Path, *more: str) -> Evidence:
    where = ["--url", server.url, "--profile", profile, "--suite", str(suite), "--out", str(out)]
    return evaluate(*where, *more)


def value(measures: list[Measure], name: str) -> float:
    [found] = [one for one in measures if one.name == name]
    return found.value


LOGARITHM, MEASURE = 2e-4, 1e-3
"""How far log-likelihoods of a token, and measures of them, may lie apart; both are rounded."""


def told(found: Evidence) -> list[Measure]:
    """Every measure."""
    assert found.retain is not None
    [suite] = found.suites
    return [*suite.forget, *suite.neighbour, *suite.unrelated, *suite.measures,
            *found.retain.measures]  # fmt: skip


def plain(found: Evidence) -> list[tuple[str, str, int, int]]:
    """What each number is of."""
    return [(one.name, one.formula, one.n, one.clusters) for one in told(found)]


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """What of a line depends on the batch: log-likelihoods, and divergences summed over tokens."""
    return {name: row[name] for name in ("likelihoods", "kl", "base", "variant") if name in row}


def lines(out: Path, name: str) -> dict[str, Any]:
    rows = map(json.loads, (out / name).read_text().splitlines())
    return {row["key"]: row for row in rows}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that the base is asked once."""
    return tmp_path_factory.mktemp("eval") / "out"


@pytest.mark.usefixtures("ends")
def test_nothing_scores_as_the_base_and_noise_as_all_destroyed(
    server: Server, suite: Path, out: Path
) -> None:
    idle = over_http(server, "idle", suite, out)
    assert idle.suites[0].headline.recovered == 1
    assert idle.suites[0].headline.neighbours == 1
    assert idle.suites[0].headline.unrelated == 1
    assert idle.retain is not None
    assert value(idle.retain.measures, "KL") < 1e-4
    assert value(idle.retain.measures, "perplexity ratio") == pytest.approx(1, abs=1e-3)
    noise = over_http(server, "noise", suite, out)
    assert noise.suites[0].headline.recovered < 0.3
    assert (noise.suites[0].headline.neighbours or 0) < 0.3
    assert noise.retain is not None
    assert value(noise.retain.measures, "KL") > 0.5
    assert value(noise.retain.measures, "perplexity ratio") > 5


def test_the_same_run_writes_the_same_bytes_and_is_shown_by_the_server(
    server: Server, suite: Path, out: Path
) -> None:
    found = over_http(server, "france", suite, out, "--attach")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert over_http(server, "france", suite, out) == found
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert not any(API_KEY.encode() in data for data in before.values())
    shown = server.get("/v1/unlearning/profiles/france").json()
    assert shown["evidence"] == found.model_dump(mode="json")
    assert shown["digest"] == found.digest


@pytest.mark.parametrize("jobs", ["8", "1", "32"])
def test_asked_anew_it_says_the_same_whatever_asks_at_once(
    jobs: str, server: Server, suite: Path, out: Path, tmp_path: Path
) -> None:
    """Answers are equal; log-likelihoods, and what follows of them, as near as docs say."""
    one = over_http(server, "france", suite, out, "--jobs", "8")
    other = over_http(server, "france", suite, tmp_path, "--jobs", jobs)
    assert one.suites[0].forget == other.suites[0].forget
    assert one.suites[0].headline == other.suites[0].headline
    for name in ("base.jsonl", f"{one.digest}.jsonl"):
        first, second = lines(out, name), lines(tmp_path, name)
        assert first.keys() == second.keys()
        for key, row in first.items():
            assert {**second[key], **numbers(row)} == row
            assert numbers(second[key]) == {
                number: pytest.approx(value, abs=LOGARITHM * row.get("tokens", 1))
                for number, value in numbers(row).items()
            }
    assert plain(other) == plain(one)
    assert [one.value for one in told(other)] == [
        pytest.approx(one.value, abs=MEASURE) for one in told(one)
    ]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on cores that a server keeps busy take minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_in_process_says_what_the_server_says(
    server: Server, suite: Path, out: Path, tmp_path: Path
) -> None:
    served = over_http(server, "france", suite, out)
    file = server.log.parent / "profiles" / "france.safetensors"
    where = ["--offline", "--profile", str(file), "--suite", str(suite)]
    alone = evaluate(*where, "--out", str(tmp_path / "out"))
    assert (alone.digest, alone.model) == (served.digest, served.model)
    assert alone.dtype == served.dtype == "float32"
    runs = [json.loads((folder / "run.json").read_text()) for folder in (tmp_path / "out", out)]
    assert runs[0]["template"] == runs[1]["template"] is not None
    assert alone.suites[0].headline == served.suites[0].headline
    for name in ("base.jsonl", f"{served.digest}.jsonl"):
        told, own = lines(out, name), lines(tmp_path / "out", name)
        assert told.keys() == own.keys()
        for key, row in told.items():
            assert row.get("text") == own[key].get("text"), (name, row)
            near = pytest.approx(row.get("likelihoods", []), abs=2e-3)
            assert own[key].get("likelihoods", []) == near, (name, row)
            if "kl" in row:
                assert row["tokens"] == own[key]["tokens"], row
                assert row["variant"] == pytest.approx(own[key]["variant"], abs=0.05), row
                assert row["kl"] <= own[key]["kl"] + 1e-2, row


def test_a_key_that_is_wrong_is_the_servers_answer(server: Server, suite: Path, out: Path) -> None:
    with pytest.raises(ServerError, match="401"):
        over_http(server, "france", suite, out, "--api-key", "another")


def test_evidence_of_what_the_name_had_before_is_refused(
    server: Server, suite: Path, out: Path, base: BaseModel
) -> None:
    found = over_http(server, "france", suite, out)
    other = replace(artifact.from_bytes(edit(base, 0.0)), method="other")
    server.put("replaced", artifact.to_bytes(other))
    with server.client as client:
        reply = client.put(
            "/v1/unlearning/profiles/replaced/evidence", json=found.model_dump(mode="json")
        )
    server.delete("replaced")
    assert reply.status_code == 409
    assert "evaluate what the name means now" in reply.text
