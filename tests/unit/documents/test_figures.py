"""What docs/choosing.md and docs/fitting.md say of methods is what docs/methods.md measured."""

import re

import pytest

from lethe_projections.methods import METHODS
from tests.unit.documents.blocks import ROOT

CHOOSING, FITTING, MEASURED = (
    (ROOT / "docs" / f"{page}.md").read_text() for page in ("choosing", "fitting", "methods")
)


def measured(section: str, method: str) -> list[str]:
    """The cells of a method in a section's table."""
    part = MEASURED.partition(f"### {section}")[2].partition("\n### ")[0]
    [row] = re.findall(rf"^\| `{method}` \| (.*) \|$", part, flags=re.M)
    return str(row).split(" | ")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_in_both_pages(method: str) -> None:
    assert f"`{method}`" in CHOOSING.partition("## By what you want")[0]
    [row] = re.findall(rf"^\| (?:`[a-z-]+`, )*`{method}`.*\|$", FITTING, flags=re.M)
    seconds = measured("One subject", method)[-3]
    assert seconds in re.findall(r"\d+", row)


@pytest.mark.parametrize(
    ("section", "method", "what"),
    [
        ("One subject", "steer", "one subject"),
        ("A relation for a group", "steer", "ten capitals at once"),
        ("One subject", "rocr", "one subject"),
    ],
)
def test_the_figures_are_those_measured(section: str, method: str, what: str) -> None:
    [row] = re.findall(rf"^\| `{method}`, {what} \| (.*) \|$", CHOOSING, flags=re.M)
    cells = measured(section, method)[:5]
    worst, neighbours, unrelated, divergence = (
        float(re.split("[ ;]", cell)[0]) for cell in (cells[0], *cells[2:])
    )
    expected = [f"{worst:.2f}", f"{neighbours:.2f}", f"{unrelated:.2f}", f"{divergence:.4f}"]
    assert str(row).split(" | ") == expected
