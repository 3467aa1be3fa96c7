"""What was measured, as JSON, and as a section of docs/deploying.md."""

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.marked import Marked
from benchmarks.serving.report import environment
from benchmarks.serving.spread import Spread

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "deploying.md"
RESULTS = ROOT / "benchmarks" / "replicas.json"
MARKED = Marked("<!-- made by `make load`; do not edit -->", "<!-- end -->")


def write(found: dict[str, Any], path: Path) -> None:
    """The JSON, and if it is the project's own the page."""
    here = {**environment(), "usable_cores": len(os.sched_getaffinity(0))}
    results = {**found, "environment": here}
    path.write_text(json.dumps(results, indent=1) + "\n")
    if path.resolve() == RESULTS:
        DOCUMENT.write_text(MARKED.inserted(DOCUMENT.read_text(), markdown(results)))


def markdown(results: dict[str, Any]) -> str:
    """What the page says of it."""
    here = results["environment"]
    rate, ratio = Spread(**results["tokens_per_second"]), Spread(**results["ratio"])
    return (
        f"{here['usable_cores']} of {here['cores']} virtual cores ({here['processor']}) for "
        f"{results['replicas']} replicas, PostgreSQL and the clients; vLLM {here['vllm']}, the "
        "embedded model, eager, float32. 16 requests at once on each replica, of 32 tokens read "
        "and 32 written, all of them naming the profile that is replaced.\n\n"
        "| | |\n|---|---|\n"
        f"| requests | {results['requests']} |\n"
        "| failed, or served by anything but what the name meant | 0 |\n"
        f"| replacements, each served by the other replica on its next request | {results['swaps']}"
        " |\n"
        f"| tokens a second without replacements, both replicas | {rate.text(0)} |\n"
        f"| throughput with replacements, of that without, {results['rounds']} rounds | "
        f"{ratio.text(2)} |\n"
    )
