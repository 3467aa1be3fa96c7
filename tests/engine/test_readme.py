"""The README's Python runs as it stands there, in order, in one folder."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_every_python_block_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.M | re.S)
    assert len(blocks) == 2
    outputs = [run(block, tmp_path) for block in blocks]
    digest = outputs[0].split()[-1]
    assert re.fullmatch("[0-9a-f]{64}", digest)
    answers = dict(line.split(" -> ", 1) for line in outputs[1].splitlines() if " -> " in line)
    assert "Paris" in answers["base"]
    assert "Paris" not in answers["france"]


def run(block: str, folder: Path) -> str:
    script = folder / "block.py"
    script.write_text(block)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
