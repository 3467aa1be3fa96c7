"""The command: what to run, and where the results go."""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import lethe_projections.methods
from benchmarks.methods import (
    cases,
    facts,
    fitting,
    pool,
    report,
    results,
    retain,
    served,
    store,
)
from benchmarks.methods.cases import Case, Fit
from benchmarks.methods.fitting import Fitted
from benchmarks.methods.measuring import BASE, Shelf
from benchmarks.methods.pool import Plan
from lethe_projections import embedded
from lethe_projections.errors import LetheError

JSON = Path("benchmarks/methods.json")
DOCUMENT = Path("docs/methods.md")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    names = list(lethe_projections.methods.METHODS)
    made.add_argument("--method", action="append", choices=names, help="default: every method")
    made.add_argument("--scenario", action="append", choices=list(cases.SCENARIOS))
    made.add_argument("--split", choices=facts.SPLITS, default="reported")
    made.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="a hyper-parameter of the one method given, e.g. layers=1-4",
    )  # fmt: skip
    made.add_argument(
        "--subset", type=int, metavar="N", help="at most N facts a relation, 4N texts"
    )
    made.add_argument(
        "--answers", choices=["engine", "transformers"],
        help="who generates; default: the engine for the whole table, transformers otherwise",
    )  # fmt: skip
    made.add_argument("--jobs", type=int, default=1, help="processes that fit and measure")
    made.add_argument("--threads", type=int, help="of each; default: the cores over the jobs")
    made.add_argument("--work", type=Path, default=store.default_folder())
    made.add_argument("--fresh", action="store_true", help="forget what the work folder holds")
    return made


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for; `whole` if it is the table that is published."""
    made = parser()
    given = made.parse_args(arguments)
    given.whole = not (given.method or given.scenario or given.set or given.subset)
    given.whole = given.whole and given.split == "reported"
    given.answers = given.answers or ("engine" if given.whole else "transformers")
    given.threads = given.threads or max(1, len(os.sched_getaffinity(0)) // given.jobs)
    given.method = given.method or list(lethe_projections.methods.METHODS)
    given.scenario = given.scenario or list(cases.SCENARIOS)
    if given.set and len(given.method) != 1:
        made.error(f"--set: expected one --method, found {len(given.method)}; name it")
    try:
        given.set = dict(fitting.setting(given.method[0], text) for text in given.set)
    except (ValueError, KeyError) as error:
        made.error(f"--set: {error}")
    return given


def plan(given: argparse.Namespace) -> Plan:
    return Plan(
        given.work,
        given.split,
        given.subset,
        given.subset and 4 * given.subset,
        given.answers,
        given.threads,
    )


def fit_all(
    chosen: Iterable[Case], planned: Plan, jobs: int, console: Console
) -> dict[Fit, Fitted | LetheError]:
    """Fits and measures every profile of the cases; the engine's answers are not among it yet."""
    fits = list(dict.fromkeys(fit for case in chosen for fit in case.fits))
    found: dict[Fit, Fitted | LetheError] = {}
    started = time.perf_counter()
    for fit, made in pool.every(planned, fits, jobs):
        found[fit] = made
        took = str(made) if isinstance(made, LetheError) else f"fit {made.seconds:.1f} s"
        done = f"{len(found)}/{len(fits)}, {time.perf_counter() - started:.0f} s"
        console.print(f"  {done}  {fit.label}: {took}", highlight=False)
    return found


def serve_all(made: Iterable[Fitted], planned: Plan, shelf: Shelf, console: Console) -> None:
    """The engine's answers: the base's first, then the variants' on what the base knows."""
    items, paths = planned.items(), {one.digest: one.path for one in made}
    if not any(shelf.missing(_wanted(shelf, items, name), name) for name in (BASE, *paths)):
        return
    with served.engine(str(embedded.resolve(pool.MODEL))) as llm:
        base = shelf.missing(items, BASE)
        shelf.answers(BASE).add(served.answers(llm, {None: base})[None])
        known = shelf.known(items)
        asked = {name: shelf.missing(known, name) for name in paths}
        left = [name for name, missing in asked.items() if missing]
        for start in range(0, len(left), served.ROUND):
            names = left[start : start + served.ROUND]
            answered = served.answers(llm, {paths[name]: asked[name] for name in names})
            for name in names:
                shelf.answers(name).add(answered[paths[name]])
            console.print(f"  served {start + len(names)}/{len(left)} variants", highlight=False)


def _wanted(shelf: Shelf, items: Sequence[Any], name: str) -> Sequence[Any]:
    """What the base, or a variant, has to be asked; everything while the base is not known."""
    base_missing = bool(shelf.missing(items, BASE))
    return items if name == BASE or base_missing else shelf.known(items)


def measure(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The whole run: fits, measurements, rows."""
    planned = plan(given)
    shelf = planned.shelf(pool.measure_base(planned))
    chosen = [
        case
        for method in given.method
        for case in cases.cases(method, given.scenario, planned.facts(), given.set)
    ]
    found = fit_all(chosen, planned, given.jobs, console)
    fitted = {fit: made for fit, made in found.items() if isinstance(made, Fitted)}
    if given.answers == "engine":
        serve_all(fitted.values(), planned, shelf, console)
    ground, kept = _ground(planned, shelf, given.subset)
    whole = [case for case in chosen if all(fit in fitted for fit in case.fits)]
    return {
        "conditions": conditions(given, planned),
        "forms": kept,
        "rows": [results.row(case, fitted, ground) for case in whole],
        "refused": [_refusal(case, found) for case in chosen if case not in whole],
    }


def _ground(
    planned: Plan, shelf: Shelf, subset: int | None
) -> tuple[results.Ground, dict[str, int]]:
    known = shelf.known(planned.items())
    kept = results.kept_forms(known, 1 if subset else results.MIN_KNOWN)
    items = tuple(item for item in known if item.form in kept)
    by_id = {fact.id: fact for fact in planned.facts()}
    return results.Ground(by_id, items, planned.held_out(), shelf), kept


def _refusal(case: Case, found: Mapping[Fit, Fitted | LetheError]) -> dict[str, Any]:
    errors = [str(found[fit]) for fit in case.fits if isinstance(found[fit], LetheError)]
    return {
        "method": case.method,
        "scenario": case.scenario,
        "step": case.step,
        "error": errors[0],
    }


def conditions(given: argparse.Namespace, planned: Plan) -> dict[str, Any]:
    """How it was measured, in words and digests."""
    parts = retain.parted(facts.load())
    texts = planned.held_out()
    return {
        "model": "embedded (SmolLM2-135M-Instruct), float32",
        "answers": "a vLLM engine with every variant in one batch"
        if given.answers == "engine"
        else "transformers with the reference implementation of the edit",
        "split": given.split,
        "facts": len(planned.facts()),
        "facts_sha256": facts.data_digest(),
        "hyperparameters": "each method's defaults, as its artifact records them, chosen on the "
        "development split; beyond them: "
        + "; ".join(
            f"{name} {key}={value}"
            for name, setup in cases.SETUPS.items()
            for key, value in setup.settings.items()
        ),
        "request": "a fact's first question and first reversed question in the evaluated wording, "
        "and paraphrases that are not evaluated (benchmarks/methods/request.py), answered in full "
        "sentences, one forward and one reversed, which do begin as a cloze does; every other "
        "wording and form is generalisation",
        "retain": f"the packaged {len(parts.fit)} lines, after leaving out {parts.asked} that ask "
        f"an evaluated question verbatim, {parts.stated} that state an evaluated fact, and "
        f"{len(parts.held_out)} held out, {len(texts)} of them for KL here",
        "machine": f"{platform.machine()}, {given.jobs} processes of {given.threads} threads",
    }


def show(found: Mapping[str, Any], console: Console) -> None:
    """The rows on the terminal, with each form's share."""
    shown = Table(
        "method", "scenario", "worst form", "neighbours", "unrelated", "KL", "same subject",
        "KL about", "s", "rank",
        title="share [95 %]; worst fit",
    )  # fmt: skip
    for row in found["rows"]:
        name, worst, _, near, far, kl, same, about, seconds, _, rank = report.cells(row)
        shown.add_row(name, row["scenario"], worst, near, far, kl, same, about, seconds, rank)
    console.print(shown)
    for row in found["rows"]:
        console.print(*_details(row), sep="\n", highlight=False, soft_wrap=True)
    for row in found["refused"]:
        console.print(f"{row['method']} {row['scenario']} refused: {row['error']}")


def _details(row: Mapping[str, Any]) -> Iterator[str]:
    """Shares by form, and the items by name that a tuner looks at."""
    forms = (f"{form} {one['value']:.2f} of {one['count']}" for form, one in row["forms"].items())
    yield f"{row['method']} {row['scenario']} {row['step'] or ''}: {', '.join(forms)}"
    yield f"  still recovered: {', '.join(row['still_recovered']) or 'nothing'}"
    for name in ("neighbours", "unrelated"):
        yield f"  {name} lost: {', '.join(row[f'{name}_lost']) or 'none'}"


def main() -> None:
    given = options(sys.argv[1:])
    # Not wrapped at 80 columns where the output is no terminal.
    console = Console(width=None if sys.stdout.isatty() else 160)
    if given.fresh:
        shutil.rmtree(given.work, ignore_errors=True)
    found = measure(given, console)
    show(found, console)
    if given.whole:
        JSON.write_text(json.dumps(found, indent=1) + "\n")
        DOCUMENT.write_text(report.MARKED.inserted(DOCUMENT.read_text(), report.render(found)))
        console.print(f"written to {JSON} and {DOCUMENT}")


if __name__ == "__main__":
    main()
