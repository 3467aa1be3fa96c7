"""docs/methods.md says what benchmarks/methods.json holds."""

import json
from pathlib import Path
from typing import Any

from benchmarks.methods import report

ROOT = Path(__file__).parents[3]


def published() -> Any:
    return json.loads((ROOT / "benchmarks" / "methods.json").read_text())


def test_the_published_table_is_what_the_published_figures_render_to() -> None:
    document = (ROOT / "docs" / "methods.md").read_text()
    assert report.MARKED.extracted(document) == report.render(published())


def test_a_changed_figure_would_be_noticed() -> None:
    found = published()
    before = report.render(found)
    found["rows"][0]["kl"]["value"] += 0.01
    assert report.render(found) != before


def test_every_form_and_formula_is_explained() -> None:
    text = report.render(published())
    assert all(f"| {form} |" in text for form in report.FORMS)
    assert all(f"**{name}**" in text for name, _ in report.FORMULAS)
