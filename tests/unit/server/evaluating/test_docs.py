"""docs/evaluating.md: its measures are those of a document, its options the command's."""

import re
from pathlib import Path

from typer.testing import CliRunner

from lethe_server import cli
from lethe_server.evaluating.evidence import Measure

from .served import retain, suite
from .test_running import evaluated, fake

PAGE = (Path(__file__).parents[4] / "docs" / "evaluating.md").read_text("utf-8")
BETWEEN = re.compile(r"<!-- measures -->\n(.*)<!-- end of measures -->", re.DOTALL)


def row(one: Measure, of: str) -> str:
    formula = one.formula.replace("|", "\\|").replace("0.333", "1 / (1 + wrong answers)")
    return f"| {one.name} | {of} | {formula} |\n"


def test_its_measures_are_those_of_a_document(tmp_path: Path) -> None:
    named = retain(tmp_path, {"text": "She went to Narda and on to the sea."})
    (tmp_path / "run").mkdir()
    file = suite(tmp_path, rest=", and four", verbatim=["Of {subject} this is told:"])
    found = evaluated(fake(), tmp_path / "run", file=file, retain=named)
    assert found.retain is not None
    [one_suite] = found.suites
    by_form = {one.formula: one for one in one_suite.forget}
    forms = [one.model_copy(update={"name": "a form"}) for one in by_form.values()]
    rows = [
        *(row(one, "a set") for one in sorted(forms, key=lambda one: one.formula, reverse=True)),
        *(row(one, "a suite") for one in one_suite.measures),
        *(row(one, "retain text") for one in found.retain.measures),
    ]
    [written] = BETWEEN.findall(PAGE)
    assert written == "".join(rows)


def test_its_options_are_the_commands() -> None:
    shown = CliRunner().invoke(cli.app, ["eval", "--help"], env={"COLUMNS": "200"}).output
    of_report = re.compile(r"## A report\n.*?\n(?=## )", re.DOTALL)
    named = set(re.findall(r"--[a-z][a-z-]+", of_report.sub("", PAGE))) - {"--max-logprobs"}
    assert named <= set(re.findall(r"--[a-z][a-z-]+", shown))
