"""docs/attacks.md: its curves are those of the documents, its options the commands'."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe_server import cli
from lethe_server.attacks import document, quantisation, relearning, shares
from lethe_server.attacks.document import Attack, Curve
from lethe_server.evaluating.work import Work
from lethe_server.fitting import Checkpoint

from .conftest import Made

PAGE = (Path(__file__).parents[4] / "docs" / "attacks.md").read_text("utf-8")
COMMON = PAGE.partition("\n## ")[0]
SECTIONS = {
    "relearn": "Relearning",
    "quantise": "Quantisation",
    "probe": "Probing",
    "requests": "Requests one after the other",
}
ELSEWHERE = {"--after", "--offline"}
"""Of `lethe fit` and `lethe eval`."""
DIVIDED_BY = {
    relearning.KNOWN: "what the base knows",
    relearning.ASKED: "all prompts",
    quantisation.SHARE: "what the base of that many bits knows",
    quantisation.STILL: "what the base knows",
}


def row(one: Curve) -> str:
    [by] = [words for share, words in DIVIDED_BY.items() if f"share = {share};" in one.formula]
    of = "all forms together" if shares.TOGETHER in one.formula else "the worst form"
    assert (shares.WORST in one.formula) == (of == "the worst form")
    return f"| {one.name} | {of}{', control' if one.control else ''} | {by} |\n"


@pytest.fixture
def found(answerer: Made, checkpoint: Checkpoint, asked: Work) -> dict[str, Attack]:
    quick = relearning.Settings(steps=1, max_tokens=4)
    rounds = quantisation.Settings(bits=(3,), max_tokens=4)
    one, model = answerer(0.3), checkpoint.model
    return {
        "relearning": relearning.attack(one, model, asked, quick, shown=False),
        "quantisation": quantisation.attack(one, model, asked, rounds, shown=False),
    }


def test_its_curves_are_those_of_the_documents(found: dict[str, Attack]) -> None:
    for name, attack in found.items():
        forms = [one for one in attack.curves if one.name.split(": ")[-1] in ("question", "cloze")]
        together = [one for one in attack.curves if ": " not in one.name]
        assert forms
        between = re.compile(rf"<!-- {name} -->\n(.*)<!-- end of {name} -->", re.DOTALL)
        assert between.findall(PAGE) == ["".join(map(row, together))]
        assert document.file_name("DIGEST", attack.kind) in PAGE


@pytest.mark.parametrize("command", SECTIONS)
def test_its_options_are_the_commands(command: str) -> None:
    shown = CliRunner().invoke(cli.app, ["attack", command, "--help"], env={"COLUMNS": "200"})
    there = set(re.findall(r"--[a-z][a-z-]+", shown.output)) - {"--help"}
    [section] = re.findall(rf"^## {SECTIONS[command]}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    rows = re.findall(r"^\| (`--.*?) \| (.*?) \|", COMMON, re.M)
    common = " ".join(names for names, of in rows if of == "all" or f"`{command}`" in of)
    named = set(re.findall(r"--[a-z][a-z-]+", common + section)) - ELSEWHERE
    assert named == there
