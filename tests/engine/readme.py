"""The README's Python, run as it stands there."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


@dataclass(frozen=True)
class Fitted:
    """What the first block left, and said.

    Attributes:
        folder: holds `france.safetensors`.
        output: what it printed.
    """

    folder: Path
    output: str


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.M | re.S)


def run(block: str, folder: Path) -> str:
    """Runs a block in a folder, in a process of its own, and returns what it printed.

    Raises:
        AssertionError: it failed.
    """
    script = folder / "block.py"
    script.write_text(block)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
