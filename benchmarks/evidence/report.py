"""The page as Markdown, from the documents of docs/evidence alone, and its place in evidence.md."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.evidence.choosing import LOSS
from benchmarks.evidence.measuring import DEVELOPMENT_FORMS
from benchmarks.evidence.publishing import RUN, SERVED
from benchmarks.marked import Marked
from benchmarks.methods.facts import ALWAYS_DEVELOPMENT
from lethe_projections import strict_json
from lethe_projections.evaluation import split
from lethe_server.attacks import document
from lethe_server.attacks.document import MEANING, Attack, Curve
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence, Measure

MARKED = Marked(
    "<!-- made by `make evidence` from docs/evidence/; do not edit -->",
    "<!-- end of what `make evidence` made -->",
)

PLACES = 7
"""Of an axis at most, in a table; the page of `lethe report` has all."""

METHODS = (
    "method", "settings", "worst form", "neighbours", "unrelated facts", "KL", "KL about",
    "never known", "fit, s", "KB",
)  # fmt: skip
TRIED = (
    "method", "settings", "worst form", "neighbours", "unrelated facts", "KL", "loss", "chosen",
)  # fmt: skip


@dataclass(frozen=True)
class Documents:
    """All that stands in docs/evidence.

    Attributes:
        run: what was tried and chosen.
        evidence: by digest.
        attacks: in order of profile and kind.
        served: the best, over HTTP, by the engine's number format.
    """

    run: Mapping[str, Any]
    evidence: Mapping[str, Evidence]
    attacks: tuple[Attack, ...]
    served: Mapping[str, Evidence]

    @classmethod
    def read(cls, folder: Path) -> "Documents":
        """Of a folder that `publishing` wrote."""
        run = strict_json.loads((folder / RUN).read_bytes())
        found = [evidence.parse(file.read_bytes()) for file in _files(folder, "evidence")]
        served = {
            row["dtype"]: evidence.parse(file.read_bytes())
            for row in run["served"]
            for file in _files(folder / f"{SERVED}-{row['dtype']}", "evidence")
        }
        attacks = [
            document.parse(file.read_bytes())
            for kind in document.Kind
            for file in _files(folder, kind)
        ]
        return cls(
            run,
            {one.digest: one for one in found},
            tuple(sorted(attacks, key=lambda one: one.digest != run["best"])),
            served,
        )


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"*.{kind}.json"))


def render(found: Documents) -> str:
    """All that stands between the markers."""
    best = found.evidence[found.run["best"]]
    parts = [
        _conditions(found),
        "## Every method\n",
        *_table(METHODS, (_method(row, found) for row in found.run["reported"])),
        "",
        "![Forgetting against retention](plots/evidence-balance.svg)",
        "",
        f"## {best.method}, form by form\n",
        *_forms(best),
        "",
        f"## {best.method} on the other suites\n",
        "The same settings, with no choice made on these suites.\n",
        *_elsewhere(found),
        "",
        "## Through the server\n",
        *_served(found, best),
        "",
        "## Attacks\n",
        *(line for one in found.attacks for line in _attack(one, found)),
        "## What was tried on development subjects\n",
        *_table(TRIED, map(_tried, found.run["development"])),
        *_refused(found),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _conditions(found: Documents) -> str:
    best = found.evidence[found.run["best"]]
    [suite] = best.suites
    facts = ", ".join(f"{count} {name}" for name, count in suite.facts.items())
    assert best.retain is not None
    about = {
        "model": f"embedded (SmolLM2-135M-Instruct), {best.dtype}, {best.engine}; answers greedy, "
        f"at most {best.max_tokens} tokens",
        "suite": f"{suite.name} {suite.version}, sha256 {suite.sha256[:16]}; reported on: {facts}, "
        f"{suite.prompts} prompts",
        "split": f"{split.RULE}. Settings were chosen on those, by the least {LOSS} in the forms "
        f"{', '.join(DEVELOPMENT_FORMS)}, and are reported on the others, in all forms. Left out "
        f"of what is reported: {', '.join(sorted(ALWAYS_DEVELOPMENT))}, by which the methods' "
        "defaults were chosen. What [methods.md](methods.md) reports on are in part the same "
        "subjects, and were known when the settings tried here were written down",
        "request": "one profile forgets all subjects of a split at once. Of the evaluated wordings "
        "the request has a fact's first question and first reversed question, answered by the "
        "first sentence to be completed; all else is generalisation. *Names in capitals too* adds "
        "the last wording of the question with the subject in capitals, which the suite spells so "
        "in another wording only",
        "retain text": f"the packaged text, after leaving out lines that ask an evaluated question "
        f"or state an evaluated fact; {best.retain.texts} texts with a reply, or plain, are in no "
        "fit and in no choice: KL is of those",
        "controls": "`nothing` is an edit that adds 0, `noise` one that leaves no sense in what is "
        "said; *never known* is what the variant says of subjects that do not exist, in the same "
        "form",
        "machine": found.run["machine"],
    }
    return "\n".join(f"* **{name}**: {text}" for name, text in about.items()) + "\n"


def _method(row: Mapping[str, Any], found: Documents) -> Sequence[str]:
    of = found.evidence[row["digest"]]
    [suite] = of.suites
    worst = suite.forget[0]
    fitted = row["method"] not in ("nothing", "noise")
    return (
        f"`{row['method']}`",
        row["settings"],
        f"{_measure(worst)} ({worst.name}, n={worst.n})",
        *(_measure(_named(suite.measures, name)) for name in ("neighbours", "unrelated facts")),
        *(_measure(_named(_retain(of), name), 4) for name in ("KL", "KL about")),
        _number(worst.never_known),
        f"{row['seconds']:.0f}" if fitted else "-",
        f"{row['bytes'] / 1000:.0f}",
    )


def _forms(found: Evidence) -> Iterator[str]:
    [suite] = found.suites
    kept = {
        name: {one.name: one for one in measures}
        for name, measures in (("neighbour", suite.neighbour), ("unrelated", suite.unrelated))
    }
    columns = ("form", "recovered", "n", "never known", "neighbours kept", "unrelated kept")
    rows = (
        (
            one.name,
            _measure(one),
            str(one.n),
            _number(one.never_known),
            *(_measure(kept[name].get(one.name)) for name in kept),
        )
        for one in suite.forget
    )
    yield from _table(columns, rows)


def _elsewhere(found: Documents) -> Iterator[str]:
    columns = ("suite", "facts to forget", *METHODS[2:8])
    rows = []
    for row in found.run["elsewhere"]:
        [suite] = found.evidence[row["digest"]].suites
        facts = str(suite.facts.get("forget", 0))
        rows.append((f"{suite.name} {suite.version}", facts, *_method(row, found)[2:8]))
    yield from _table(columns, rows)


def _served(found: Documents, best: Evidence) -> Iterator[str]:
    yield (
        f"`lethe eval --url` asked a `lethe serve` the same about {best.digest[:12]}. *Alike*: of "
        "the answers of base and variant, how many agree with those in process on whether they "
        "bring up what was asked for; *the same*: of those that are texts, how many are so to the "
        "letter. KL over HTTP is a lower bound.\n"
    )
    rows: list[tuple[str, Evidence, Mapping[str, Any]]] = [("in process", best, {})]
    rows += [(f"over HTTP, {row['dtype']}", found.served[row["dtype"]], row)
             for row in found.run["served"]]  # fmt: skip
    columns = ("", *METHODS[2:6], "alike", "the same")
    yield from _table(columns, (_way(*row) for row in rows))


def _way(name: str, of: Evidence, agreed: Mapping[str, Any]) -> Sequence[str]:
    """A row of one way to ask."""
    [suite] = of.suites
    return (
        f"{name} ({of.engine})",
        f"{_measure(suite.forget[0])} ({suite.forget[0].name})",
        *(_measure(_named(suite.measures, kept)) for kept in ("neighbours", "unrelated facts")),
        _measure(_named(_retain(of), "KL"), 4),
        f"{agreed['recovered']} of {agreed['prompts']}" if agreed else "",
        f"{agreed['same']} of {agreed['said']}" if agreed else "",
    )


def _attack(one: Attack, found: Documents) -> Iterator[str]:
    yield f"### {one.kind} of `{one.method}` {one.digest[:12]}: {MEANING[one.kind]}\n"
    if "profiles" in one.settings:
        yield f"The profiles: {one.settings['profiles']}.\n"
    places = _places(one)
    columns = (one.axis, *(f"{place:g}" for place in places))
    shown = [curve for curve in one.curves if ": " not in curve.name]
    yield from _table(columns, (_curve(curve, places) for curve in shown))
    if one.marks:
        yield "\n" + "; ".join(f"{name} {at:g}" for name, at in one.marks.items()) + "."
    yield ""


def _curve(curve: Curve, places: Sequence[float]) -> Sequence[str]:
    points = {point.at: point for point in curve.points}
    name = f"*{curve.name}* (control)" if curve.control else curve.name
    return (name, *(_value(points[at]) if at in points else "" for at in places))


def _places(one: Attack) -> list[float]:
    """All, or some: the first, the last, those that are marked, and others between."""
    every = sorted({point.at for curve in one.curves for point in curve.points})
    if len(every) <= PLACES:
        return every
    spread = {every[round(step * (len(every) - 1) / (PLACES - 2))] for step in range(PLACES - 1)}
    return sorted(spread | {at for at in one.marks.values() if at in every})


def _tried(row: Mapping[str, Any]) -> Sequence[str]:
    return (
        f"`{row['method']}`",
        row["settings"],
        f"{row['worst']:.3f} ({row['form']})",
        *(f"{row[name]:.3f}" for name in ("neighbours", "unrelated")),
        f"{row['kl']:.4f}",
        f"{row['loss']:.3f}",
        "yes" if row["chosen"] else "",
    )


def _refused(found: Documents) -> Iterator[str]:
    if found.run["refused"]:
        yield "\nCame to nothing:\n"
        yield from (f"* {row['what']}: {row['error']}" for row in found.run["refused"])


def _retain(found: Evidence) -> Sequence[Measure]:
    return [] if found.retain is None else found.retain.measures


def _named(measures: Iterable[Measure], name: str) -> Measure | None:
    return next((one for one in measures if one.name == name), None)


def _measure(one: Measure | None, digits: int = 3) -> str:
    return "-" if one is None else _value(one, digits)


def _value(one: Any, digits: int = 3) -> str:
    """A measure, or a point of a curve, with its interval."""
    within = ""
    if one.interval is not None:
        within = " [{:.{d}f}, {:.{d}f}]".format(*one.interval, d=digits)
    return f"{one.value:.{digits}f}{within}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    yield from (f"| {' | '.join(row)} |" for row in rows)
