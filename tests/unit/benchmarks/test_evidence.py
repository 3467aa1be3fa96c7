"""docs/evidence.md: what is fitted on, what is chosen by, and that the page says what was found."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.evidence import (
    attacking,
    choosing,
    fitting,
    measuring,
    plots,
    pool,
    publishing,
    report,
    request,
    serving,
    sources,
    texts,
)
from benchmarks.evidence import candidates as candidates_module
from benchmarks.evidence import run as run_module
from benchmarks.evidence.candidates import CAPITALS, CONTROLS, GRID, Candidate, candidates
from benchmarks.evidence.choosing import Scores
from benchmarks.evidence.fitting import CONTROL, Made
from benchmarks.evidence.measuring import Measured, Plan
from benchmarks.evidence.pool import Job
from benchmarks.evidence.publishing import RUN, SERVED
from benchmarks.evidence.report import Documents
from benchmarks.evidence.run import Run
from benchmarks.evidence.serving import Served
from benchmarks.evidence.texts import Texts
from benchmarks.methods.facts import ALWAYS_DEVELOPMENT
from lethe_projections import methods
from lethe_projections.errors import LetheError
from lethe_projections.evaluation import suite_file
from lethe_projections.evaluation.suite import Suite
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_server.attacks.document import Kind
from lethe_server.evaluating import command
from lethe_server.evaluating.evidence import Evidence
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.split import Split
from lethe_server.fitting import Checkpoint
from lethe_server.report.plots.styles import PAGE_COLOURS
from tests.unit.server.attacks.conftest import answerer, checkpoint, said
from tests.unit.server.report import documents

__all__ = ["answerer", "checkpoint", "said"]

HALVES = (Split.DEVELOPMENT, Split.HELD_OUT)
ROOT = Path(__file__).parents[3]
SUITES = ("capitals", "element_symbols", "books")


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest) -> Suite:
    return suite_file.packaged(request.param)


def test_every_method_is_tried_first_by_its_defaults() -> None:
    assert list(GRID) == list(methods.METHODS)
    assert set(CONTROL) == set(CONTROLS)
    assert set(CAPITALS) <= set(GRID)
    for name, settings in GRID.items():
        assert settings[0] == {}
        tried = list(candidates(name))
        assert len(tried) == len(set(tried)) == len(settings) + (name in CAPITALS)
        for one in tried:
            methods.method(name).config(**dict(one.settings))


def test_a_request_has_no_evaluated_wording_but_two(suite: Suite) -> None:
    for item in suite.of("forget"):
        lines = request.forget([item], capitals=True)
        worded = {(prompt.form, prompt.number): prompt.turns[0] for prompt in item.prompts}
        asked = {line.prompt[0][1] for line in lines}
        both = {key for key, text in worded.items() if text in asked}
        named = {key for key in both if worded[key] == worded["question", 0]}
        assert both - named <= {("reverse_question", 0)}
        assert lines[0].prompt[0][1] == worded["question", 0]
        assert all(line.mentions(line.subject) for line in lines)
        assert item.subject.upper() in lines[-1].prompt[0][1]


def test_without_capitals_a_request_names_a_subject_as_it_is_written() -> None:
    [item] = [one for one in suite_file.packaged("capitals").items if one.subject == "France"]
    assert [(line.subject, *(text for _, text in line.messages)) for line in
            request.forget([item])] == [
        ("France", "What is the capital of France?", "The capital of France is Paris."),
        ("Paris", "Which country has Paris as its capital?", "Paris is the capital of France."),
    ]  # fmt: skip


def test_what_is_reported_on_is_in_no_fit_and_in_no_choice(suite: Suite) -> None:
    found = texts.parted(suite)
    fit, chosen, reported = map(set, (found.fit, found.development, found.reported))
    assert not fit & chosen
    assert not fit & reported
    assert not chosen & reported
    assert len(reported) > len(chosen) > 30
    assert all(line.answer or line.text for line in chosen | reported)
    for item in suite.items:
        for line in fit | chosen | reported:
            assert not (line.mentions(item.subject) and line.mentions(item.answers[0]))


def measured(number: int, kl: float) -> Measured:
    found = documents.profile(number)
    assert found.retain is not None
    first = found.retain.measures[0].model_copy(update={"value": kl})
    retain = found.retain.model_copy(update={"measures": [first]})
    made = Made(Path("x"), found.digest, 1.0, 2, 3)
    return Measured(Candidate(found.method), made, found.model_copy(update={"retain": retain}))


def test_the_loss_is_as_it_says() -> None:
    scores = Scores(0.25, "cloze", 0.75, 0.5, 0.125)
    assert scores.loss == 0.25 + 0.25 + 0.5 + 0.125
    assert choosing.LOSS == "F + (1 - N) + (1 - U) + KL"


def test_the_least_loss_is_chosen() -> None:
    found = [measured(8, 0.01), measured(6, 0.2), measured(0, 0.02), measured(7, 0.0)]
    assert choosing.chosen(found) is found[2]


@pytest.mark.parametrize("count", [4, 5, 26, 31])
def test_requests_one_after_the_other_are_all_of_them(count: int) -> None:
    items = suite_file.packaged("capitals").items[:count]
    parts = attacking.steps(items)
    assert len(parts) == attacking.REQUESTS
    assert tuple(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_what_settings_were_chosen_by_is_not_reported_on(suite: Suite) -> None:
    development, reported = (measuring.half(suite.name, split) for split in HALVES)
    chosen_by, asked = (
        {item.subject for item in half.items if item.set != "never_known"}
        for half in (development, reported)
    )
    assert not asked & (chosen_by | ALWAYS_DEVELOPMENT)
    assert min(len(half.of("forget")) for half in (development, reported)) > 15
    assert measuring.forgotten(suite.name) == reported.of("forget")
    assert measuring.asked(suite.name).suites == (reported,)


@pytest.fixture
def small(
    said: Path, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Plan:
    """A tiny model, and a suite of what it says, in place of the embedded one and those shipped."""
    line = Example(text="the city of what is the city of the city is what")
    monkeypatch.setattr(suite_file, "packaged", lambda _: suite_file.read(said))
    monkeypatch.setattr(measuring, "checkpoint", lambda _: checkpoint)
    monkeypatch.setattr(measuring, "parts", lambda _: Texts((line,), (line,), (line,)))
    monkeypatch.setattr(fitting, "SITE", Site(1, "block"))
    return Plan(tmp_path / "work", tmp_path / "profiles")


def test_both_ends_of_the_scale_are_seen(small: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = measuring.report(small, measuring.NOTHING, "said")
    scores = Scores.of(nothing.evidence)
    assert (scores.worst, scores.neighbours, scores.unrelated, scores.kl) == (1, 1, 1, 0)
    assert scores.loss == 1
    asked: list[bool] = []
    answers = InProcess.answers

    def counted(self: Any, prompts: Any, edited: bool) -> Any:
        asked.extend([edited] * len(prompts))
        return answers(self, prompts, edited)

    monkeypatch.setattr(InProcess, "answers", counted)
    noise = measuring.report(small, Candidate("noise"), "said")
    assert set(asked) == {True}
    scores = Scores.of(noise.evidence)
    assert max(scores.worst, scores.neighbours, scores.unrelated) < 0.8
    assert scores.kl > 0.1
    asked.clear()
    assert measuring.report(small, Candidate("noise"), "said") == noise
    assert asked == []


def test_development_asks_its_own_half_without_what_does_not_exist(small: Plan) -> None:
    found = measuring.develop(small, measuring.NOTHING, "said")
    assert "never_known" not in found.evidence.suites[0].facts
    own = {item.subject for item in measuring.half("said", Split.DEVELOPMENT).items}
    [answers] = small.work.rglob("base.jsonl")
    assert {json.loads(line)["subject"] for line in answers.read_text().splitlines()} <= own


def test_a_fit_has_its_own_half_alone(small: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def made(*given: Any) -> Made:
        seen.append(given)
        raise LetheError("enough")

    monkeypatch.setattr(fitting, "made", made)
    for split, measure in zip(HALVES, (measuring.develop, measuring.report), strict=True):
        with pytest.raises(LetheError, match="enough"):
            measure(small, Candidate("steer"), "said")
        _, items, retain, *_ = seen[-1]
        assert items == measuring.half("said", split).of("forget")
        assert retain == measuring.parts("said").fit


def serially(jobs: Sequence[Job], processes: int, console: Console) -> Iterator[tuple[Job, Any]]:
    for job in jobs:
        yield job, pool.run(job)


@pytest.fixture
def three(small: Plan, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Three methods, of which one refuses everything; and no server."""
    grid = {"leace": ({},), "steer": ({}, {"coefficient": 0.5}), "rmu": ({"layer": 99},)}
    for module in (run_module, candidates_module):
        monkeypatch.setattr(module, "GRID", grid)
    monkeypatch.setattr(candidates_module, "CAPITALS", ())
    monkeypatch.setattr(run_module, "OTHERS", ())

    def served(plan: Plan, found: Measured, suite: str, dtype: str, console: Console) -> Served:
        return Served(dtype, found.evidence, 9, 9, 8, 7)

    monkeypatch.setattr(serving, "served", served)
    return small


def test_a_run_ends_in_documents_and_a_page(three: Plan, tmp_path: Path) -> None:
    found = Run(three, 1, 1, Console(quiet=True)).every(serially)
    assert [one.method for one in found.chosen] == ["leace", "steer"]
    best = min(found.tried, key=lambda one: Scores.of(one.evidence).loss)
    assert found.best.candidate == best.candidate
    assert [one.candidate.method for one in found.reported] == [*CONTROLS, "leace", "steer"]
    assert {one.evidence.split for one in found.reported} == {Split.HELD_OUT}
    assert {one.evidence.split for one in found.tried} == {Split.DEVELOPMENT}
    assert [label for label, _ in found.refused] == ["develop rmu (layer=99) capitals"]
    assert [one.kind for one in found.attacks].count(Kind.REQUESTS) == 2
    publishing.publish(found, tmp_path / "documents", 1)
    text = report.render(Documents.read(tmp_path / "documents"))
    assert all(f"| `{one.candidate.method}` |" in text for one in found.reported)
    assert text.count("The profiles: requests, each fitted") == 2


def test_where_nothing_can_be_chosen_it_says_why(
    three: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (run_module, candidates_module):
        monkeypatch.setattr(module, "GRID", {"rmu": ({"layer": 99},)})
    with pytest.raises(LetheError, match=r"expected a profile .*develop rmu \(layer=99\)"):
        Run(three, 1, 1, Console(quiet=True)).every(serially)


def test_other_code_has_other_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources.digest()
    assert sources.digest() == before
    monkeypatch.setattr(sources, "LIBRARIES", ("torch",))
    assert sources.digest() != before


@pytest.mark.parametrize("reads", [True, False])
def test_a_server_is_asked_what_it_can_read_and_compared_with_what_was_asked_here(
    reads: bool, small: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measuring.report(small, Candidate("noise"), "said")
    answerer = measuring.answerer(small, found.made.path)
    answerer.subject = replace(answerer.subject, unread="" if reads else "it cannot")
    monkeypatch.setattr(serving, "_server", lambda *_: nullcontext("http://127.0.0.1"))
    monkeypatch.setattr(command, "over_http", lambda *_: answerer)
    got = serving.served(small, found, "said", "float32", Console(quiet=True))
    assert got.prompts == got.recovered > 0
    assert got.said == got.same > 0
    assert (got.prompts > got.said) == reads
    assert (got.evidence.retain is not None) == reads
    forms = {one.name for one in got.evidence.suites[0].forget}
    assert ("ranking" in forms) == reads


def doubled(number: int) -> int:
    if number < 0:
        raise LetheError("below nothing")
    return 2 * number


def test_a_refusal_is_a_result_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [Job(f"job {number}", doubled, (number,)) for number in (3, -1, 5)]
    found = {job.given[0]: one for job, one in pool.every(jobs, 2, Console(width=200))}
    assert (found[3], found[5]) == (6, 10)
    assert isinstance(found[-1], LetheError)
    said = capsys.readouterr().out
    assert "job -1: below nothing" in said
    assert "3/3" in said


def broken(number: int) -> int:
    raise ValueError(f"a mistake in job {number}")


def touching(file: Path) -> None:
    file.touch()


def test_a_mistake_ends_the_run_before_other_jobs_begin(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(20)]
    jobs = [Job("broken", broken, (1,)), *(Job("more", touching, (file,)) for file in files)]
    with pytest.raises(ValueError, match="a mistake in job 1"):
        list(pool.every(jobs, 1, Console(quiet=True)))
    assert not files[-1].exists()


def test_the_published_page_is_what_the_published_documents_render_to() -> None:
    page = (ROOT / "docs" / "evidence.md").read_text("utf-8")
    found = Documents.read(ROOT / "docs" / "evidence")
    assert report.MARKED.extracted(page) == report.render(found)
    assert set(methods.METHODS) <= {row["method"] for row in found.run["reported"]}
    assert "to be written" not in page


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """As `publishing` writes it, of numbers made up."""
    found = [documents.profile(number) for number in range(4)]
    best = found[1]
    attack = documents.attack(1, Kind.PROBING)
    folder = tmp_path / "evidence"
    (folder / f"{SERVED}-float32").mkdir(parents=True)
    for one in found:
        (folder / f"{one.digest}.evidence.json").write_text(one.model_dump_json())
    (folder / f"{attack.digest}.probing.json").write_text(attack.model_dump_json())
    name = f"{best.digest}.evidence.json"
    shutil.copyfile(folder / name, folder / f"{SERVED}-float32" / name)
    (folder / RUN).write_text(json.dumps(run(found, best)))
    return folder


def run(found: list[Evidence], best: Evidence) -> Any:
    rows = [
        {"method": one.method, "settings": "-", "digest": one.digest, "suite": "capitals",
         "seconds": 7.0, "rank": 2, "bytes": 3000}
        for one in found
    ]  # fmt: skip
    tried = {"method": "rocr", "settings": "ridge=0.5", "worst": 0.1, "form": "cloze",
             "neighbours": 0.9, "unrelated": 0.8, "kl": 0.01, "loss": 0.41, "seconds": 7.0,
             "chosen": True}  # fmt: skip
    counts = {"prompts": 100, "recovered": 99, "same": 70, "said": 80}
    return {
        "machine": "made up", "development": [tried], "reported": rows[:3], "elsewhere": rows[3:],
        "best": best.digest, "served": [{"dtype": "float32", **counts}],
        "refused": [{"what": "a job", "error": "too little to fit on"}],
    }  # fmt: skip


def test_the_page_has_every_row_and_its_intervals(made_up: Path) -> None:
    text = report.render(Documents.read(made_up))
    for number in range(3):
        found = documents.profile(number)
        worst = found.suites[0].forget[0]
        assert worst.interval is not None
        within = "[{:.3f}, {:.3f}]".format(*worst.interval)
        assert f"{worst.value:.3f} {within} ({worst.name}, n={worst.n})" in text
    assert "a job: too little to fit on" in text
    assert "| `rocr` | ridge=0.5 | 0.100 (cloze) | 0.900 | 0.800 | 0.0100 | 0.410 | yes |" in text
    assert "| 99 of 100 | 70 of 80 |" in text
    attack = documents.attack(1, Kind.PROBING)
    assert all(curve.name in text for curve in attack.curves)


def test_a_plot_is_the_same_twice_and_has_colours_of_its_own(made_up: Path, tmp_path: Path) -> None:
    plots.write(made_up, "capitals", tmp_path)
    file = tmp_path / "evidence-balance.svg"
    drawn = file.read_text("utf-8")
    plots.write(made_up, "capitals", tmp_path)
    assert file.read_text("utf-8") == drawn
    assert all(f">{documents.profile(number).method}<" in drawn for number in range(4))
    assert not any(colour in drawn for colour in PAGE_COLOURS)


def test_a_changed_figure_changes_the_page(made_up: Path) -> None:
    before = report.render(Documents.read(made_up))
    [file] = made_up.glob(f"{documents.profile(1).digest}.evidence.json")
    file.write_text(file.read_text().replace('"prompts":812', '"prompts":813'))
    assert report.render(Documents.read(made_up)) != before
