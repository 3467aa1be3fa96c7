"""Experiments and reports in a terminal. Knows the server's documents and nothing else."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table


def experiments(found: list[dict[str, Any]]) -> None:
    """One row for each arm."""
    table = Table("experiment", "status", "created", "arm", "profile", "share")
    for one in found:
        total = sum(arm["weight"] for arm in one["arms"])
        head = one["id"], one["status"], _time(one["created"])
        for arm in one["arms"]:
            name = _arm(arm["name"], one["control"])
            table.add_row(*head, name, arm["profile"], f"{arm['weight'] / total:.1%}")
            head = "", "", ""
        table.add_section()
    Console().print(table)


def report(found: dict[str, Any]) -> None:
    """What each arm had, then a table for each metric, then what to be careful about."""
    console = Console()
    console.print(f"{found['id']}, {found['status']}; what is counted is units")
    table = Table("arm", "profile", "units", "exposures", "errors")
    for arm in found["arms"]:
        counts = (str(arm[kind]) for kind in ("units", "exposures", "errors"))
        table.add_row(_arm(arm["name"], found["control"]), arm["profile"], *counts)
    console.print(table)
    for metric in found["arms"][0]["metrics"]:
        console.print(_metric(found, metric))
    for warning in warnings(found):
        console.print(f"[bold]Careful:[/bold] {warning}")


def warnings(found: dict[str, Any]) -> list[str]:
    """What of a report cannot be trusted."""
    ratio, lost, unexposed = (
        found[name] for name in ("sample_ratio", "lost_exposures", "unexposed_outcomes")
    )
    said = []
    if ratio["mismatch"]:
        said.append(
            "the arms do not have the units that their weights say "
            f"(p = {_number(ratio['p_value'])}): something else decides who takes part"
        )
    if lost:
        said.append(f"{lost} exposures could not be recorded")
    if unexposed:
        said.append(f"{unexposed} outcomes are of units that were not exposed, and count nowhere")
    said += [
        f"arm {arm['name']} was served by several digests: its profile was replaced meanwhile"
        for arm in found["arms"]
        if len([one for one in arm["served"] if one["digest"]]) > 1
    ]
    return said


def _metric(found: dict[str, Any], name: str) -> Table:
    kind = found["arms"][0]["metrics"][name]["kind"]
    table = Table("arm", "units", kind, "95 %", "less control", "95 %", "p", title=name)
    for arm in found["arms"]:
        one = arm["metrics"][name]
        difference = one["difference"] or {"value": None, "interval": None, "p_value": None}
        table.add_row(
            *(_arm(arm["name"], found["control"]), str(one["count"])),
            *(_number(one["value"]), _interval(one["interval"])),
            *(_number(difference["value"]), _interval(difference["interval"])),
            _number(difference["p_value"]),
        )
    return table


def _arm(name: str, control: str) -> str:
    return f"{name} (control)" if name == control else name


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _interval(ends: list[float] | None) -> str:
    return "" if ends is None else f"{_number(ends[0])} to {_number(ends[1])}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
