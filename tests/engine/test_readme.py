"""The README's Python runs as it stands there, in order, in one folder."""

import re

from .readme import Fitted, blocks, run


def test_every_python_block_of_the_readme_runs(france: Fitted) -> None:
    _, served = blocks()
    digest = france.output.split()[-1]
    assert re.fullmatch("[0-9a-f]{64}", digest)
    output = run(served, france.folder)
    answers = dict(line.split(" -> ", 1) for line in output.splitlines() if " -> " in line)
    assert "Paris" in answers["base"]
    assert "Paris" not in answers["france"]
