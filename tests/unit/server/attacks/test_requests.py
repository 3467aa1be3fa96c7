"""Requests one after the other: what came back, what is asked, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lethe_projections.errors import ArtifactError, LetheError
from lethe_projections.evaluation import suite_file
from lethe_server import cli
from lethe_server.attacks import document, requests, schedule
from lethe_server.attacks.document import Attack
from lethe_server.evaluating import command, running
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.split import Split
from lethe_server.fitting import Checkpoint

from .conftest import Made

DESTROYS, NOTHING = 3.0, 0.0


@pytest.fixture
def said(said: Path) -> Path:
    """With unrelated facts of a relation of their own."""
    header, *facts = map(json.loads, said.read_text().splitlines())
    header["relations"]["else"] = header["relations"]["it"]
    for one in facts:
        one["relation"] = "else" if one["set"] == "unrelated" else "it"
    said.write_text("\n".join(map(json.dumps, [header, *facts])))
    return said


@pytest.fixture
def subjects(said: Path) -> list[str]:
    return [item.subject for item in suite_file.read(said).of("forget")]


@pytest.fixture
def written(answerer: Made, subjects: list[str], tmp_path: Path) -> Any:
    """A schedule: each of two requests adds half the subjects, and has a profile of that scale."""

    def write(*scales: float) -> Path:
        half = len(subjects) // 2
        parts = (subjects[:half], subjects[half:])
        steps = [
            {"profile": Path(answerer(scale).subject.profile + ".safetensors").name, "forget": part}
            for scale, part in zip(scales, parts, strict=False)
        ]
        file = tmp_path / "schedule.json"
        file.write_text(json.dumps({"requests": steps}))
        return file

    return write


@pytest.fixture
def asks(said: Path, checkpoint: Checkpoint, tmp_path: Path) -> Any:
    def ask(file: Path, split: Split = Split.ALL, texts: int = 3, out: str = "out") -> Attack:
        read = schedule.read(file)
        given = command.Asked((str(said),), split, read.subjects, None, texts)
        asking = requests.answerers(read, checkpoint, 4, 8)
        folder = requests.opened(tmp_path / out, asking[0], 4)
        return requests.attack(read, asking, given.work(reads=True), folder, shown=False)

    return ask


def shares(found: Attack) -> dict[str, list[float]]:
    return {one.name: [point.value for point in one.points] for one in found.curves}


def test_a_request_that_brings_the_first_back_is_seen(written: Any, asks: Any) -> None:
    found = asks(written(DESTROYS, NOTHING))
    curves = shares(found)
    assert list(curves) == [
        "everything requested so far", "request 1", "request 2", "neighbours", "unrelated facts",
        "KL on retain text", "never known",
    ]  # fmt: skip
    assert curves["request 1"][0] < 0.6
    assert curves["request 1"][1] == curves["everything requested so far"][1] == 1
    assert curves["request 2"] == [1]
    [second] = [one for one in found.curves if one.name == "request 2"]
    assert second.points[0].at == 2
    assert curves["neighbours"][0] < curves["neighbours"][1] == 1
    assert curves["KL on retain text"][0] > curves["KL on retain text"][1] == 0
    assert [one.control for one in found.curves] == [False] * 6 + [True]


def test_what_is_forgotten_stays_so_where_it_does(written: Any, asks: Any) -> None:
    curves = shares(asks(written(DESTROYS, DESTROYS)))
    assert curves["request 1"][0] == curves["request 1"][1] < 0.6
    assert curves["neighbours"][0] == curves["neighbours"][1]


def test_what_is_kept_is_the_same_after_each(written: Any, asks: Any, subjects: list[str]) -> None:
    found = asks(written(DESTROYS, NOTHING))
    for name in ("neighbours", "unrelated facts", "KL on retain text", "never known"):
        [curve] = [one for one in found.curves if one.name == name]
        assert len({(point.n, point.clusters) for point in curve.points}) == 1
    first, second = found.curves[0].points
    assert first.n < second.n
    assert first.clusters + found.curves[2].points[0].clusters == second.clusters == len(subjects)


def test_it_belongs_to_the_last_profile(written: Any, asks: Any, answerer: Made) -> None:
    found = asks(written(DESTROYS, NOTHING))
    digests = [answerer(scale).subject.digest for scale in (DESTROYS, NOTHING)]
    assert found.digest == digests[-1]
    assert [found.settings[f"profile {place}"] for place in (1, 2)] == digests
    assert found.kind is document.Kind.REQUESTS


def test_what_is_answered_is_not_asked_again(
    written: Any, asks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool, int]] = []
    answers = InProcess.answers

    def counted(self: Any, prompts: Any, edited: bool) -> Any:
        asked.append((self.subject.profile, edited, len(prompts)))
        return answers(self, prompts, edited)

    monkeypatch.setattr(InProcess, "answers", counted)
    before = document.to_bytes(asks(written(DESTROYS, NOTHING)))
    base = [count for _, edited, count in asked if not edited]
    variants = [count for _, edited, count in asked if edited]
    # A variant is not asked what the base does not know: that counts nowhere.
    assert sum(base) >= max(variants) > base[0]
    asked.clear()
    assert document.to_bytes(asks(written(DESTROYS, NOTHING))) == before
    assert {count for *_, count in asked} == {0}


def test_an_evaluation_in_the_same_folder_asks_nothing_again(
    written: Any,
    asks: Any,
    said: Path,
    answerer: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asks(written(DESTROYS, NOTHING))
    made = answerer(NOTHING)
    asked: list[Any] = []
    monkeypatch.setattr(made, "answers", lambda prompts, _: iter(asked.extend(prompts) or ()))
    found = command.evidence(made, command.Asked((str(said),), texts=3), tmp_path / "out", 4)
    assert asked == []
    assert found.digest == made.subject.digest


def test_after_an_error_it_goes_on_from_there(
    written: Any, asks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = document.to_bytes(asks(written(DESTROYS, NOTHING), out="whole"))
    run, done = running.run, []

    def broken(*given: Any) -> None:
        if done:
            raise LetheError("the second breaks")
        done.append(run(*given))

    monkeypatch.setattr(running, "run", broken)
    with pytest.raises(LetheError, match="the second breaks"):
        asks(written(DESTROYS, NOTHING))
    monkeypatch.undo()
    assert document.to_bytes(asks(written(DESTROYS, NOTHING))) == whole


def test_without_text_there_is_no_divergence(written: Any, asks: Any) -> None:
    assert "KL on retain text" not in shares(asks(written(DESTROYS, NOTHING), texts=0))


def test_a_request_that_is_not_in_the_split_is_refused(
    answerer: Made, said: Path, asks: Any, tmp_path: Path
) -> None:
    answerer(NOTHING)
    items = suite_file.read(said).of("forget")
    halves = [next(one.subject for one in items if one.split == half) for half in
              (Split.DEVELOPMENT, Split.HELD_OUT)]  # fmt: skip
    steps = [{"profile": "0.0all.safetensors", "forget": [one]} for one in halves]
    (tmp_path / "schedule.json").write_text(json.dumps({"requests": steps}))
    message = rf"request 2: expected facts in the split 'development' about {halves[1]}, found none"
    with pytest.raises(LetheError, match=message):
        asks(tmp_path / "schedule.json", Split.DEVELOPMENT)


STEP = {"profile": "a", "forget": ["x"]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[", "Expecting value"),
        ('{"requests": []}', "at least 1 item"),
        (json.dumps({"requests": [STEP], "more": 1}), "not permitted at more"),
        (json.dumps({"requests": [{"profile": "a"}]}), "required at requests.0.forget"),
        (json.dumps({"requests": [{**STEP, "forget": []}]}), "at least 1 item"),
        (json.dumps({"requests": [STEP, STEP]}), "found 'x' again"),
        (json.dumps({"requests": [STEP] * 57}), "at most 56 items"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, found: str, tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(text)
    with pytest.raises(LetheError, match=found) as raised:
        schedule.read(file)
    assert str(raised.value).startswith(f"{file}: expected ")


def test_its_paths_are_beside_it(tmp_path: Path, checkpoint: Checkpoint) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps({"requests": [STEP]}))
    read = schedule.read(file)
    assert read.requests[0].profile == str(tmp_path / "a")
    with pytest.raises(ArtifactError, match="expected a readable file"):
        requests.answerers(read, checkpoint, 4, 8)
    with pytest.raises(LetheError, match="No such file or directory; check the path"):
        schedule.read(tmp_path / "none.json")


def test_the_command_writes_the_document_beside_the_answers(
    written: Any,
    said: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Checkpoint, "load", lambda model, device: checkpoint)
    options = ["--suite", str(said), "--out", str(tmp_path / "out"), "--texts", "2"]
    file = written(DESTROYS, NOTHING)
    arguments = ["attack", "requests", str(file), *options, "--max-tokens", "4"]
    done = CliRunner().invoke(cli.app, [*arguments, "--json"])
    assert done.exit_code == 0, done.exception
    [made] = (tmp_path / "out").glob("*.requests.json")
    found = document.parse(made.read_bytes())
    assert made.name == document.file_name(found.digest, found.kind)
    assert json.loads(done.stdout) == found.model_dump(mode="json")
    shown = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"}).stdout
    assert "everything requested so far: share = recovered / known" in shown
    assert "never known (control)" in shown


def test_the_command_reads_no_text_with_nothing_to_predict(
    written: Any,
    said: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Checkpoint, "load", lambda model, device: checkpoint)
    retain = tmp_path / "retain.jsonl"
    texts = ("red", "the city of the north is red")
    retain.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    options = ["--suite", str(said), "--out", str(tmp_path / "out"), "--retain", str(retain)]
    arguments = ["attack", "requests", str(written(NOTHING)), *options, "--max-tokens", "4"]
    done = CliRunner().invoke(cli.app, [*arguments, "--json"])
    assert done.exit_code == 0, done.exception
