"""docs/suites.md: its example is read, and its tables are the code's."""

import re
from pathlib import Path

from lethe_projections.evaluation import loaders, metrics, suite_file
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.suite import SETS, Suite

PAGE = (Path(__file__).parents[4] / "docs" / "suites.md").read_text("utf-8")


def between(name: str) -> list[str]:
    return PAGE.split(f"<!-- {name} -->\n")[1].split(f"<!-- end of {name} -->")[0].splitlines()


def modules(package: str) -> set[str]:
    return {file.stem for file in Path(package).parent.glob("*.py")} - {"__init__"}


def test_the_example_is_a_suite_in_which_every_prompt_is_asked() -> None:
    example = re.findall(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)[0]
    found = suite_file.parse(example.encode(), "rivers.jsonl")
    assert [item.set for item in found.items] == ["forget", "neighbour", "never_known"]
    asked = {p.form: p.turns[-1] for p in found.items[0].prompts}
    assert asked["hint"] == "Which river flows through London? It starts with T."
    assert asked["translation"] == "¿Qué río pasa por Londres?"


def test_its_forms_are_those_that_there_are() -> None:
    assert between("forms") == [f"| `{name}` | {form.meaning} |" for name, form in FORMS.items()]


def test_its_sets_are_those_that_there_are() -> None:
    for name, meaning in SETS.items():
        assert f"| `{name}` | {meaning} |" in PAGE


def test_its_counts_are_those_of_the_suites_that_ship() -> None:
    assert between("suites") == [row(suite_file.packaged(name)) for name in suite_file.PACKAGED]


def row(suite: Suite) -> str:
    counts = [len(suite.of(name)) for name in SETS]
    prompts = sum(len(item.prompts) for item in suite.items)
    return f"| `{suite.name}` | " + " | ".join(map(str, [*counts, prompts])) + " |"


def test_it_names_every_loader_and_every_measure() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert loaders.__file__
    assert metrics.__file__
    assert modules(loaders.__file__) - {"foreign", "table"} <= named
    assert modules(metrics.__file__) <= named
