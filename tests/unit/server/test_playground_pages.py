"""What the playground's pages say and look like, where the server's own sources say the same."""

import json
import re
from itertools import combinations
from pathlib import Path

from lethe_server.evaluating.not_shown import NOT_SHOWN
from lethe_server.playground.files import STATIC

DOCS = Path(__file__).parents[3] / "docs"


def classes(style: Path) -> set[str]:
    plain = re.sub(r"/\*.*?\*/", "", style.read_text(), flags=re.DOTALL)
    return set(re.findall(r"\.([a-z][\w-]*)", plain))


def test_no_page_styles_another() -> None:
    """All of them are loaded together."""
    common = classes(STATIC / "style.css")
    parts = classes(STATIC / "parts" / "parts.css") - common
    chat, profiles, experiments = (
        classes(STATIC / page / f"{page}.css") - common
        for page in ("chat", "profiles", "experiments")
    )
    assert chat & parts == set()
    for one, other in combinations([chat, profiles - parts, experiments - parts], 2):
        assert one & other == set()


def test_the_page_says_all_of_what_evidence_does_not_show() -> None:
    module = (STATIC / "profiles" / "not_shown.js").read_text()
    listed = module[module.index("[") : module.rindex("]") + 1].replace(",\n]", "\n]")
    assert tuple(json.loads(listed)) == NOT_SHOWN


def test_the_page_warns_of_peeking_as_the_documentation_does() -> None:
    [warning] = [
        paragraph
        for paragraph in (DOCS / "experiments.md").read_text().split("\n\n")
        if paragraph.startswith("Intervals and p-values")
    ]
    said = (STATIC / "experiments" / "report.js").read_text()
    assert " ".join(warning.split()) in " ".join(said.split())
