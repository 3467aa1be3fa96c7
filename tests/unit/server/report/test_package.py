"""Who installs the package has the template, which is no module."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[4]


def test_the_template_is_in_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    here = "lethe_server/report/templates"
    assert {f"{here}/page.html.j2", f"{here}/page.css"} <= set(ZipFile(wheel).namelist())
