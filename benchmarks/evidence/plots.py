"""The plots of docs/evidence.md, drawn as `lethe report` draws them, by day."""

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from lethe_projections import durable
from lethe_server.report import gather, grouping, labels
from lethe_server.report.plots import balance
from lethe_server.report.plots.drawing import NO_METADATA, SETTINGS, WIDTH, Plan
from lethe_server.report.plots.styles import INK, LINE, PAPER

DAY = {INK: "#222222", PAPER: "#ffffff", LINE: "#d0d0d0"}
"""For the colours that a page of `lethe report` has by style."""


def write(documents: Path, suite: str, folder: Path) -> None:
    """Forgetting against retention of every profile that was asked a suite."""
    found = gather.gather([documents]).evidence
    asked = [one for one in found if one.suites[0].name == suite]
    [board] = grouping.boards(asked, labels.labels(asked))
    plan = balance.plan(board)
    assert plan is not None
    durable.write(folder / "evidence-balance.svg", _svg(plan))


def _svg(plan: Plan) -> bytes:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        figure = Figure(figsize=(WIDTH, plan.height), layout="constrained")
        plan.paint(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=NO_METADATA, facecolor=DAY[PAPER])
    drawn = file.getvalue()
    for colour, shown in DAY.items():
        drawn = drawn.replace(colour, shown)
    return drawn.encode()
