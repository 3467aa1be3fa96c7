"""The plots of docs/evidence.md, drawn as `lethe report` draws them."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from lethe_server.report import gather, grouping, labels
from lethe_server.report.plots import balance
from lethe_server.report.plots.drawing import NO_METADATA, SETTINGS, WIDTH


def write(documents: Path, suite: str, folder: Path) -> None:
    """Forgetting against retention of every profile that was asked a suite."""
    found = gather.gather([documents])
    boards = grouping.boards(found.evidence, labels.labels(found.evidence))
    [board] = [one for one in boards if one.suite.startswith(f"{suite} ")]
    plan = balance.plan(board)
    assert plan is not None
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        figure = Figure(figsize=(WIDTH, plan.height), layout="constrained")
        plan.paint(figure.add_subplot())
        file = folder / "evidence-balance.svg"
        figure.savefig(file, metadata=NO_METADATA, facecolor="white")
