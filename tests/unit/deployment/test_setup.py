"""Set-up says which of Debian's packages is missing."""

from pathlib import Path

import pytest
import setup_venv

MISSING = "ImportError: libnuma.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("last", "package"), [(MISSING, "libnuma1"), ("ImportError: something else", None)]
)
def test_a_library_that_vllm_does_not_find_is_named_by_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, package: str | None
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{last}' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(setup_venv, "PYTHON", python)
    monkeypatch.setattr(setup_venv, "LOG", tmp_path / "log")
    with pytest.raises(setup_venv.SetupError, match=last) as refused:
        setup_venv.check_imports()
    assert ("apt-get install libnuma1" in str(refused.value)) == bool(package)


def test_the_part_of_vllm_that_links_it_is_imported() -> None:
    assert "vllm._C" in setup_venv.SMOKE
