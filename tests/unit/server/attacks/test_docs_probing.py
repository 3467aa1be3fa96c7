"""docs/attacks.md, of probing and requests: its curves are the documents', its options exist."""

import json
import re
from pathlib import Path
from typing import Any

from lethe_server.attacks import document, reading_answers, requests, schedule, shares
from lethe_server.attacks.document import Attack, Curve

from .test_probing import asked, probed
from .test_requests import DESTROYS, NOTHING, asks, said, subjects, written

__all__ = ["asked", "asks", "probed", "said", "subjects", "written"]

PAGE = (Path(__file__).parents[4] / "docs" / "attacks.md").read_text("utf-8")
SECTIONS = {"probe": "Probing", "requests": "Requests one after the other"}
FITTED = re.compile(r"fitted on (.*) with ")
DIVIDED_BY = {requests.KNOWN: "what the base knows", requests.ASKED: "all prompts"}


def section(command: str) -> str:
    [found] = re.findall(rf"^## {SECTIONS[command]}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return str(found)


def check(found: Attack, rows: list[str]) -> None:
    between = re.compile(rf"<!-- {found.kind} -->\n(.*)<!-- end of {found.kind} -->", re.DOTALL)
    assert between.findall(PAGE) == ["".join(rows)]
    assert document.file_name("DIGEST", found.kind) in PAGE


def probing_row(one: Curve) -> str:
    [fitted] = FITTED.findall(one.formula)
    of = "kept facts" if "kept" in one.name else "forgotten facts"
    return f"| {one.name} | {of}{', control' if one.control else ''} | {fitted} |\n"


def requests_row(one: Curve) -> str:
    if "share" not in one.formula:
        return f"| {one.name} | {one.formula.replace('|', chr(92) + '|')} | |\n"
    [by] = [words for share, words in DIVIDED_BY.items() if f"share = {share};" in one.formula]
    of = "all forms together" if shares.TOGETHER in one.formula else "the worst form"
    return f"| {one.name} | {of}{', control' if one.control else ''} | {by} |\n"


def test_the_curves_of_probing_are_those_of_a_document(probed: Any) -> None:
    found = probed(0.3)
    check(found, list(map(probing_row, found.curves)))
    assert reading_answers.RIGHT in found.curves[0].formula


def test_the_curves_of_requests_are_those_of_a_document(written: Any, asks: Any) -> None:
    found = asks(written(DESTROYS, NOTHING))
    check(found, list(map(requests_row, found.curves)))


def test_the_schedule_that_is_shown_is_one(tmp_path: Path) -> None:
    [shown] = re.findall(r"```json\n(.*?)```", section("requests"), re.DOTALL)
    (tmp_path / "schedule.json").write_text(shown)
    assert schedule.read(tmp_path / "schedule.json").subjects == ("France", "Japan", "Peru")
    assert json.loads(shown)["requests"][0]["profile"] == "first.safetensors"
