"""The Python of docs/fitting.md, run as it stands there."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.unit.documents.blocks import blocks


@dataclass(frozen=True)
class Fitted:
    """What the block left, and said.

    Attributes:
        folder: holds `france.safetensors`.
        output: what it printed.
    """

    folder: Path
    output: str


def run(folder: Path) -> Fitted:
    """Runs the block in a folder, in a process of its own.

    Raises:
        AssertionError: it failed.
    """
    [block] = (one for one in blocks("docs/fitting.md") if one.language == "python")
    script = folder / "block.py"
    script.write_text(block.text)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Fitted(folder, done.stdout)
