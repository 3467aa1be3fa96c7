"""The table as Markdown, from `benchmarks/methods.json` alone, and its place in docs/methods.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.marked import Marked
from benchmarks.methods.cases import SCENARIOS
from benchmarks.methods.facts import SPLIT_RULE
from benchmarks.methods.forms import FORMS, MAX_TOKENS

MARKED = Marked(
    "<!-- made by `make methods-table` from benchmarks/methods.json; do not edit -->",
    "<!-- end of what `make methods-table` made -->",
)

FORMULAS = (
    (
        "recovered",
        f"the answer (reversed: the subject) occurs as a whole word in the greedy continuation of "
        f"up to {MAX_TOKENS} tokens, case and accents aside; element symbols with their case",
    ),
    ("known", "items (fact, form, wording) that the base recovers; nothing else is counted"),
    (
        "worst form",
        "max over forms of recovered / known, on what should be forgotten; n items. A ranking of "
        "four is right once in four without any knowledge: (share - 1/4) / (3/4), 0 at least",
    ),
    (
        "in any form",
        "share of the forgotten facts of which some known item, ranking aside, is still recovered",
    ),
    ("neighbours", "recovered / known on the same relations' facts, other subjects, all forms"),
    ("unrelated", "recovered / known on other relations' facts, other subjects, all forms"),
    (
        "same subject",
        "recovered / known on other facts about the subjects that are forgotten, n items: no "
        "request asks to keep them, and what keeps them edits the fact, not the subject",
    ),
    (
        "KL",
        "mean over tokens of sum_v p_base(v) (ln p_base(v) - ln p_variant(v)), in nats: teacher-"
        "forced, full vocabulary, float32, replies and second halves of texts held out from fits, "
        "which name neither subject nor answer of the requests",
    ),
    ("KL about", "the same on the held-out texts that do name one, n tokens"),
    (
        "[low, high]",
        "bootstrap 95 %: facts (KL: texts) drawn with replacement, 2000 times; where there are 5",
    ),
    ("worst", "after a semicolon: the worst of the profiles that a row pools"),
    ("s, bytes, rank", "mean seconds of a fit, the largest file, the largest rank at a site"),
)  # fmt: skip

_HEAD = (
    "method", "worst form", "in any form", "neighbours", "unrelated", "KL", "same subject",
    "KL about", "s", "bytes", "rank",
)  # fmt: skip


def render(results: Mapping[str, Any]) -> str:
    """Everything that is generated: how it was measured, then a table a scenario."""
    parts = [_conditions(results), _formulas(), _forms(results)]
    for scenario, meaning in SCENARIOS.items():
        rows = [row for row in results["rows"] if row["scenario"] == scenario]
        refused = [row for row in results["refused"] if row["scenario"] == scenario]
        if rows or refused:
            parts.append(f"### {meaning[0].upper()}{meaning[1:]}")
            parts.append(_asked(rows))
            parts.append(table(rows))
            parts += [f"`{row['method']}` refused: {row['error']}" for row in refused]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of one scenario."""
    lines = [_HEAD, ("---",) * len(_HEAD), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    pooled = row["fits"] > 1
    form = f" ({row['worst_form']}, n={row['forgetting']['count']})" if row["worst_form"] else ""
    return (
        _name(row),
        _ratio(row["forgetting"], row["worst_fit"] if pooled else None) + form + _earlier(row),
        _ratio(row["any_form"]),
        _ratio(row["neighbours"], row["neighbours_worst_fit"] if pooled else None),
        _ratio(row["unrelated"], row["unrelated_worst_fit"] if pooled else None),
        _ratio(row["kl"], row["kl_worst_fit"] if pooled else None, digits=4),
        _counted(row["same_subject"]),
        _counted(row["kl_about"], digits=2),
        f"{row['seconds']:.0f}",
        f"{row['bytes']}",
        f"{row['rank']}",
    )


def _name(row: Mapping[str, Any]) -> str:
    if not row["step"]:
        return f"`{row['method']}`"
    how = "on top of those before" if row["refit"] == "after" else "all so far, fitted together"
    return f"`{row['method']}`, request {row['step']}" + (f", {how}" if row["step"] > 1 else "")


def _earlier(row: Mapping[str, Any]) -> str:
    return "" if row["earlier"] is None else f"; earlier requests {row['earlier']:.2f}"


def _ratio(found: Mapping[str, Any] | None, worst: float | None = None, digits: int = 3) -> str:
    if found is None:
        return "none known"
    text = f"{found['value']:.{digits}f}"
    if found["interval"]:
        low, high = found["interval"]
        text += f" [{low:.{digits}f}, {high:.{digits}f}]"
    return text if worst is None else f"{text}; {worst:.{digits}f}"


def _counted(found: Mapping[str, Any] | None, digits: int = 3) -> str:
    return "none" if found is None else f"{found['value']:.{digits}f}, n={found['count']}"


def _conditions(results: Mapping[str, Any]) -> str:
    about = results["conditions"]
    return _bullets(
        (
            ("model", about["model"]),
            ("answers", about["answers"]),
            ("facts", f"{about['facts']} of the {about['split']} split; {SPLIT_RULE}. "
             f"`benchmarks/data/facts.jsonl`, sha256 {about['facts_sha256'][:16]}"),
            ("hyper-parameters", about["hyperparameters"]),
            ("request", about["request"]),
            ("retain text", about["retain"]),
            ("machine", about["machine"]),
        )
    )  # fmt: skip


def _formulas() -> str:
    return _bullets(FORMULAS)


def _forms(results: Mapping[str, Any]) -> str:
    """The forms, with how many facts the base knows in each."""
    kept, facts = results["forms"], results["conditions"]["facts"]
    lines = ["| form | what is asked | known to the base, facts |", "|---|---|---|"]
    for form, meaning in FORMS.items():
        known = f"{kept[form]} of {facts}" if form in kept else "too few, left out"
        lines.append(f"| {form} | {meaning} | {known} |")
    return "\n".join(lines)


def _asked(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which facts the rows of a scenario forget; the same for every method."""
    facts = dict.fromkeys(name for row in rows for fit in row["forgotten"] for name in fit)
    return f"To be forgotten: {', '.join(facts)}." if facts else ""


def _bullets(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"* **{name}**: {text}" for name, text in pairs)
