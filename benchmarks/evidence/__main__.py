"""The command: where the work is kept, and how many processes."""

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks.evidence import plots, publishing, report, sources
from benchmarks.evidence.measuring import Plan
from benchmarks.evidence.report import Documents
from benchmarks.evidence.run import SUITE, Run
from lethe_projections import embedded
from lethe_projections.base_model import BaseModel
from lethe_server.report import command

DOCUMENTS, PAGE, PLOTS = Path("docs/evidence"), Path("docs/evidence.md"), Path("docs/plots")
REPORT = DOCUMENTS / "report.html"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    cores = len(os.sched_getaffinity(0))
    made.add_argument("--jobs", type=int, default=cores, help="processes of one thread each")
    made.add_argument(
        "--work",
        type=Path,
        default=default_folder(),
        help="goes on from there: answers of the same code, profiles of the same request",
    )
    return made


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/lethe/evidence`, by default in `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "lethe" / "evidence"


def main() -> None:
    given = parser().parse_args()
    console = Console()
    base = BaseModel.from_checkpoint(embedded.resolve(embedded.NAME)).fingerprint[:16]
    plan = Plan(given.work / base / sources.digest()[:16], given.work / base / "profiles")
    with alone(given.work):
        found = Run(plan, given.jobs, len(os.sched_getaffinity(0)), console).every()
    publishing.publish(found, DOCUMENTS, given.jobs)
    publish_page()
    console.print(f"written to {PAGE}, {DOCUMENTS} and {REPORT}")


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """No other run writes there meanwhile."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{work}: expected nobody at work there, found another run; wait for it")
        yield


def publish_page() -> None:
    """From the documents alone."""
    text = report.render(Documents.read(DOCUMENTS))
    PAGE.write_text(report.MARKED.inserted(PAGE.read_text("utf-8"), text), "utf-8")
    plots.write(DOCUMENTS, SUITE, PLOTS)
    command.write([DOCUMENTS], REPORT, None, "Every method on the embedded model")


if __name__ == "__main__":
    main()
