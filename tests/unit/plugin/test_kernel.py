"""The edit's kernel, where there is no GPU: interpreted, and compiled for the GPUs it is meant for.

Both in processes of their own, since Triton reads TRITON_INTERPRET when it is imported.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

pytestmark = pytest.mark.skipif(
    find_spec("triton") is None, reason="triton, of the dev extra, is not installed"
)


def run(*arguments: str, interpret: str) -> None:
    """Runs Python in the repository; a failure shows what it said."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": interpret},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-10000:] + done.stderr[-10000:]


def test_the_interpreted_kernel_passes_its_tests() -> None:
    run("-m", "pytest", "-q", "-x", str(HERE / "interpreted"), interpret="1")


@pytest.mark.parametrize(("capability", "dtype"), [("80", "float32"), ("90", "bfloat16")])
def test_the_kernel_compiles(capability: str, dtype: str) -> None:
    run("-m", "tests.unit.plugin.compile_kernel", capability, dtype, interpret="0")
