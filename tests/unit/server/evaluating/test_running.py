"""An evaluation over HTTP: what is asked, what is written, what follows of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from lethe_projections.errors import LetheError, SuiteError
from lethe_server.client import ServerError
from lethe_server.evaluating import command
from lethe_server.evaluating.command import Asked
from lethe_server.evaluating.evidence import Evidence, Measure, SuiteEvidence
from lethe_server.evaluating.folder import Folder

from .served import DIGEST, KEY, NAMES, TOWNS, Fake, forgets, idle, noise, overflows, retain, suite

PROMPTS = 4 * 6 * 5
"""Sets, subjects, forms."""
READINGS = 4 * 6 * 3
"""Of these prompts one in five is a ranking, of three answers."""


def fake(says: Any = idle, **given: Any) -> Fake:
    return Fake({"base": idle, "france": says}, **given)


def evaluated(
    server: Fake, folder: Path, jobs: int = 4, file: Path | None = None, **asked: Any
) -> Evidence:
    answerer = command.over_http(server.client(), "france", 24, jobs, 20)
    given = {"retain": retain(folder), **asked}
    work = Asked((str(file or suite(folder)),), **given)
    return command.evidence(answerer, work, folder / "out", 24)


def only(found: Evidence) -> SuiteEvidence:
    [one] = found.suites
    return one


def measure(measures: list[Measure], name: str) -> Measure:
    [found] = [one for one in measures if one.name == name]
    return found


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / name).read_text().splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "out").iterdir()}


def test_a_profile_that_does_nothing_scores_as_the_base(tmp_path: Path) -> None:
    found = evaluated(fake(), tmp_path)
    headline = only(found).headline
    assert (headline.recovered, headline.neighbours, headline.unrelated) == (1, 1, 1)
    for one in [
        *only(found).measures,
        *only(found).forget,
        *(found.retain or only(found)).measures,
    ]:
        assert one.value == pytest.approx(one.base), one.name
        assert one.interval is None or one.interval[0] <= one.value <= one.interval[1]


def test_noise_is_forgetting_with_all_else_destroyed(tmp_path: Path) -> None:
    found = evaluated(fake(noise), tmp_path)
    headline = only(found).headline
    assert (headline.recovered, headline.neighbours, headline.unrelated) == (0, 0, 0)
    ranked = [row for row in rows(tmp_path, f"{DIGEST}.jsonl") if row.get("form") == "ranking"]
    for name in ("forget", "neighbour", "unrelated"):
        assert any(row["recovered"] for row in ranked if row["set"] == name), name
    assert found.retain is not None
    assert measure(found.retain.measures, "KL").value > 0.05
    assert measure(found.retain.measures, "perplexity ratio").value > 10
    assert measure(only(found).measures, "model utility").value < 0.1
    assert measure(only(found).measures, "deviation score").value == 100
    assert measure(only(found).measures, "mixed: the rest answered").value == 0


def test_one_that_forgets_what_exists_is_as_one_that_never_knew(tmp_path: Path) -> None:
    found = only(evaluated(fake(forgets), tmp_path))
    assert found.headline.recovered == 0
    for one in found.forget:
        assert (one.value, one.never_known, one.n, one.clusters) == (0, 0, 6, 6), one.name
    assert measure(found.measures, "forget: truth ratio").value == 1
    assert found.facts == {"forget": 6, "neighbour": 6, "never_known": 6, "unrelated": 6}


def test_the_worst_form_is_the_most_recovered_to_forget_and_the_least_to_keep(
    tmp_path: Path,
) -> None:
    # In small letters: recovered in every form but that which compares the texts themselves.
    found = only(evaluated(fake(str.lower), tmp_path))
    for forms in (found.forget, found.neighbour, found.unrelated):
        shares = {one.name: one.value for one in forms}
        assert shares.pop("ranking") == 0
        assert set(shares.values()) == {1}
    assert (found.headline.worst_form, found.headline.recovered) == (found.forget[0].name, 1)
    assert found.forget[-1].name == found.neighbour[0].name == found.unrelated[0].name == "ranking"
    # A ranking has no part in what is over several forms.
    assert (found.headline.neighbours, found.headline.unrelated) == (1, 1)


def test_the_shares_of_the_headline_have_their_intervals(tmp_path: Path) -> None:
    def in_part(said: str) -> str:
        return said.replace("Kesh", "???")

    found = only(evaluated(fake(in_part), tmp_path))
    for name, share in (
        ("neighbours", found.headline.neighbours),
        ("unrelated facts", found.headline.unrelated),
    ):
        one = measure(found.measures, name)
        assert one.value == share == pytest.approx(5 / 6, abs=1e-6)
        assert (one.n, one.asked, one.clusters) == (6 * 4, 6 * 4, 6)
        assert one.interval is not None
        assert (one.base, one.never_known) == (1.0, 0.0)


def test_text_that_names_what_should_be_forgotten_is_measured_apart(tmp_path: Path) -> None:
    named = (
        {"text": "She went to Narda and on to the sea."},
        {"text": "They came from Kesh by sea."},
    )
    whole = evaluated(fake(noise), tmp_path).retain
    (tmp_path / "more").mkdir()
    more = evaluated(fake(noise), tmp_path / "more", retain=retain(tmp_path, *named)).retain
    assert whole is not None
    assert more is not None
    kl, perplexity, about = more.measures
    assert [kl, perplexity] == whole.measures
    assert (about.name, about.clusters, more.texts) == ("KL about", 2, whole.texts + 2)
    assert about.value > 0


def test_what_the_base_does_not_know_is_asked_only_where_it_is_measured(tmp_path: Path) -> None:
    def unsure(said: str) -> str:
        return "I do not know." if "Kesh" in said else said

    server = Fake({"base": unsure, "france": idle})
    found = only(evaluated(server, tmp_path))
    # Kesh is the answer of one fact in each of three sets; prefix and cloze are forms alone.
    assert found.prompts == PROMPTS - 3 * 2
    assert {one.name: one.n for one in found.forget} == {
        "question": 5, "cloze": 5, "prefix": 5, "mixed": 5, "ranking": 5,
    }  # fmt: skip
    assert {one.asked for one in [*found.forget, *found.neighbour, *found.unrelated]} == {6}
    pooled = measure(found.measures, "neighbours")
    assert (pooled.n, pooled.asked) == (5 * 4, 6 * 4)
    assert measure(found.measures, "kept: ROUGE-1 recall").asked is None
    asked = {row["key"] for row in rows(tmp_path, f"{DIGEST}.jsonl") if "form" in row}
    assert len(asked) == found.prompts


def test_only_the_forms_named_are_asked(tmp_path: Path) -> None:
    found = evaluated(fake(), tmp_path, forms=("cloze", "ranking"))
    assert {one.name for one in only(found).forget} == {"cloze", "ranking"}
    assert found.left_out == ["all forms but cloze, ranking: not asked"]
    with pytest.raises(LetheError, match=r"expected a form of question, cloze, .* found 'essay'"):
        evaluated(fake(), tmp_path, forms=("essay",))


def test_every_number_has_a_formula_and_an_interval(tmp_path: Path) -> None:
    found = evaluated(fake(noise), tmp_path)
    assert found.retain is not None
    one = only(found)
    for number in [*one.forget, *one.neighbour, *one.measures, *found.retain.measures]:
        assert number.formula
        assert number.interval is not None, number.name


def test_lines_say_what_was_asked_and_what_came_back(tmp_path: Path) -> None:
    evaluated(fake(noise), tmp_path)
    variant, base = rows(tmp_path, f"{DIGEST}.jsonl"), rows(tmp_path, "base.jsonl")
    assert len(base) == PROMPTS
    assert len(variant) == PROMPTS + 7
    [line] = [one for one in base if one["item"] == "town/Narda" and one["form"] == "question"]
    assert (line["text"], line["recovered"], line["set"]) == (
        "It is Kesh, and four.",
        True,
        "forget",
    )
    [line] = [
        one for one in variant if one.get("item") == "town/Narda" and one["form"] == "ranking"
    ]
    assert all(-10 <= one <= -9 for one in line["likelihoods"])
    first = line["likelihoods"][0] > max(line["likelihoods"][1:])
    assert (line["recovered"], line["served"], line["strength"]) == (first, DIGEST, 0)


def test_the_same_run_again_asks_nothing_and_writes_the_same(tmp_path: Path) -> None:
    evaluated(fake(noise), tmp_path)
    before, again = files(tmp_path), fake(noise)
    evaluated(again, tmp_path)
    assert again.generated() == []
    assert files(tmp_path) == before


@pytest.mark.parametrize("jobs", [1, 32])
def test_how_many_ask_at_once_changes_nothing(jobs: int, tmp_path: Path) -> None:
    for name, number in (("a", 4), ("b", jobs)):
        (tmp_path / name).mkdir()
        evaluated(fake(noise), tmp_path / name, jobs=number)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_what_was_answered_before_an_error_is_not_asked_again(tmp_path: Path) -> None:
    cut = fake(noise, broken={50: KeyboardInterrupt()})
    with pytest.raises(LetheError, match=r"interrupted: .* the same command goes on from there"):
        evaluated(cut, tmp_path, jobs=1)
    kept = (tmp_path / "out" / "base.jsonl").read_bytes()
    (tmp_path / "out" / "base.jsonl").write_bytes(kept + b'{"key": "torn')
    again = fake(noise)
    evaluated(again, tmp_path, jobs=1)
    whole = fake(noise)
    (tmp_path / "whole").mkdir()
    evaluated(whole, tmp_path / "whole", jobs=1)
    assert len(whole.generated()) == 2 * (PROMPTS - 24 + READINGS) + 2 * 7
    assert len(again.generated()) < len(whole.generated()) - 30
    assert files(tmp_path) == files(tmp_path / "whole")


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    evaluated(fake(), tmp_path)
    (tmp_path / "out" / "base.jsonl").write_text("[]\n")
    with pytest.raises(LetheError, match=r"base\.jsonl, line 1: expected a record"):
        evaluated(fake(), tmp_path)


def test_another_profile_is_measured_against_the_same_answers_of_the_base(tmp_path: Path) -> None:
    evaluated(fake(), tmp_path)
    other = fake(noise, digests=["ef" * 32])
    evaluated(other, tmp_path)
    # Retain text is read by both at once.
    assert other.generated().count("base") == 7
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    shares = {one["digest"]: one["suites"]["towns"]["recovered"] for one in summary["profiles"]}
    assert shares == {DIGEST: 1.0, "ef" * 32: 0.0}


def test_a_profile_that_is_replaced_meanwhile_is_an_error(tmp_path: Path) -> None:
    changed = fake(digests=[DIGEST] * 200 + ["ef" * 32])
    with pytest.raises(ServerError, match=r"expected an answer of france@cdcd.*replaced meanwhile"):
        evaluated(changed, tmp_path)


def test_a_folder_of_other_answers_is_refused(tmp_path: Path) -> None:
    evaluated(fake(), tmp_path)
    answerer = command.over_http(fake().client(), "france", 25, 1, 20)
    with pytest.raises(LetheError, match=r"with max_tokens 25, found 24; name another"):
        command.evidence(answerer, Asked((str(suite(tmp_path)),)), tmp_path / "out", 25)
    (tmp_path / "out" / "run.json").write_text("[]")
    with pytest.raises(LetheError, match=r"run\.json: expected what its folder's answers have"):
        evaluated(fake(), tmp_path)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"engine": {"dtype": "float16", "quantization": None}}, "dtype 'float16'"),
        ({"engine": {"dtype": "bfloat16", "quantization": "fp8"}}, "dtype 'bfloat16, fp8'"),
        ({"template": "You are helpful."}, "with template '[0-9a-f]{64}'"),
    ],
)
def test_a_folder_of_another_engines_answers_is_refused(
    changed: dict[str, Any], says: str, tmp_path: Path
) -> None:
    assert evaluated(fake(), tmp_path).dtype == "bfloat16"
    with pytest.raises(LetheError, match=f"{says}, found .*; name another with --out"):
        evaluated(fake(**changed), tmp_path)


def test_a_model_without_a_template_is_asked_in_plain_text(tmp_path: Path) -> None:
    found = evaluated(fake(template=None), tmp_path, forms=("cloze",), texts=0)
    assert found.suites[0].headline.worst_form == "cloze"
    assert json.loads((tmp_path / "out" / "run.json").read_text())["template"] is None
    with pytest.raises(ServerError, match="no chat template"):
        evaluated(fake(template=None), tmp_path, texts=0)


def test_what_makes_answers_greedy_is_said_with_each(tmp_path: Path) -> None:
    server = fake()
    evaluated(server, tmp_path)
    for body in server.settings:
        said = {name: body[name] for name in ("temperature", "repetition_penalty", "top_p")}
        assert said == {"temperature": 0, "repetition_penalty": 1, "top_p": 1}
        assert (body["presence_penalty"], body["frequency_penalty"]) == (0, 0)
        assert (body["top_k"], body["min_p"]) == (0, 0)


def test_text_with_nothing_to_predict_is_left_out_and_counted(tmp_path: Path) -> None:
    whole = evaluated(fake(noise), tmp_path)
    (tmp_path / "more").mkdir()
    short = retain(tmp_path, {"text": "x"}, {"text": "y"})
    found = evaluated(fake(noise), tmp_path / "more", retain=short)
    assert found.left_out == ["retain text: 2 of 9, with nothing to predict"]
    assert found.retain == whole.retain


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"text": "x"}, "expected a text of two tokens or more, found none of 1"),
        (
            {"messages": [{"role": "user", "content": "Say it."}]},
            r"retain\.jsonl: expected a line with text or an assistant's reply, .* none of 1; .*",
        ),
    ],
)
def test_retain_text_of_which_nothing_is_read_is_an_error_before_anything_is_asked(
    line: dict[str, Any], says: str, tmp_path: Path
) -> None:
    file, server = tmp_path / "retain.jsonl", fake()
    file.write_text(json.dumps(line))

    def ask(texts: int) -> Evidence:
        answerer = command.over_http(server.client(), "france", 24, 4, 20)
        asked = Asked((str(suite(tmp_path)),), retain=file, texts=texts)
        return command.evidence(answerer, asked, tmp_path / "out", 24)

    with pytest.raises(LetheError, match=says):
        ask(3)
    assert server.generated() == []
    assert ask(0).retain is None


def test_a_profile_that_overflows_scores_as_one_that_destroys_everything(tmp_path: Path) -> None:
    found = evaluated(fake(overflows), tmp_path)
    headline = only(found).headline
    assert (headline.recovered, headline.neighbours, headline.unrelated) == (0, 0, 0)
    assert found.retain is not None
    assert measure(found.retain.measures, "KL").value > 1000
    assert measure(only(found).measures, "forget: answer probability").value == 0


def test_two_evaluations_do_not_write_to_one_folder(tmp_path: Path) -> None:
    evaluated(fake(), tmp_path)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    with Folder(tmp_path / "out", run).alone(), pytest.raises(LetheError, match="at work there"):
        evaluated(fake(), tmp_path)
    evaluated(fake(), tmp_path)


def test_a_server_without_a_base_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="use a key that may use the base"):
        evaluated(fake(models=[{"id": "m:x", "parent": "m"}]), tmp_path)


def test_a_profile_with_scopes_is_not_read_text_to_and_the_evidence_says_so(
    tmp_path: Path,
) -> None:
    found = evaluated(fake(scopes=("prompt",)), tmp_path)
    assert found.retain is None
    assert "--offline" in found.left_out[0]
    assert "ranking" not in [one.name for one in only(found).forget]


def test_other_subjects_may_be_meant(tmp_path: Path) -> None:
    found = only(evaluated(fake(), tmp_path, forget=("Narda",)))
    assert found.facts == {"forget": 1, "neighbour": 17, "never_known": 6}
    assert found.subjects_sha256 is not None
    assert found.forget[0].interval is None


@pytest.mark.parametrize(("says", "recovered"), [(idle, 1), (forgets, 0)])
def test_what_is_answered_by_sentences_can_be_evaluated(
    says: Any, recovered: float, tmp_path: Path
) -> None:
    rows = [
        {
            "question": f"What is the town of N{name.lower()}?",
            "answer": f"Surely it is {town}, and it is four.",
        }
        for name, town in zip(NAMES, TOWNS, strict=True)
    ]
    file = tmp_path / "sentences.json"
    file.write_text("\n".join(map(json.dumps, rows)))
    answerer = command.over_http(fake(says).client(), "france", 24, 4, 20)
    asked = Asked((f"tofu:forget={file}",), texts=0)
    found = only(command.evidence(answerer, asked, tmp_path / "out", 24))
    assert [(one.name, one.value, one.n) for one in found.forget] == [("question", recovered, 6)]


def test_a_suite_without_a_subject_that_is_meant_is_named_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    server, own = fake(), suite(tmp_path)
    answerer = command.over_http(server.client(), "france", 24, 4, 20)
    asked = Asked((str(own), "capitals"), forget=("Narda",))
    says = r"suite capitals, found Narda; .* or evaluate this suite by a command of its own"
    with pytest.raises(SuiteError, match=says):
        command.evidence(answerer, asked, tmp_path / "out", 24)
    assert server.generated() == []


def test_a_base_that_knows_nothing_shows_nothing(tmp_path: Path) -> None:
    nobody = Fake({"base": forgets, "france": forgets})
    says = "towns: expected the base to know something .* none of 30 prompts"
    with pytest.raises(LetheError, match=says):
        evaluated(nobody, tmp_path)


def test_no_file_has_the_key_or_where_the_server_is(tmp_path: Path) -> None:
    evaluated(fake(), tmp_path)
    for name, data in files(tmp_path).items():
        assert KEY.encode() not in data, name
        assert b"http://" not in data, name
    assert any(TOWNS[0].encode() in data for data in files(tmp_path).values())
