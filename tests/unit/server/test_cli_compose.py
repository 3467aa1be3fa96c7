"""`lethe compose`: what it writes, what it says, what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe_projections import artifact
from lethe_projections.compose import compose
from lethe_projections.errors import ArtifactError, CompositionError, IncompatibleError, LetheError
from lethe_server import cli

from .fakes import BASE, make


def run(folder: Path, *data: bytes, order: int = 1) -> tuple[Path, str]:
    files = [folder / f"{index}.safetensors" for index in range(len(data))]
    for file, content in zip(files, data, strict=True):
        file.write_bytes(content)
    out = folder / "out.safetensors"
    arguments = ["compose", *map(str, files[::order]), "--out", str(out)]
    return out, CliRunner().invoke(cli.app, arguments, catch_exceptions=False).output


def test_it_writes_the_composition_and_says_its_digest_and_ranks(tmp_path: Path) -> None:
    out, said = run(tmp_path, make(1), make(2))
    expected = artifact.to_bytes(compose([artifact.from_bytes(make(seed)) for seed in (1, 2)]))
    assert out.read_bytes() == expected
    assert artifact.digest(expected) in said
    assert "layers.1.block: rank 4" in said
    assert run(tmp_path, make(1), make(2), order=-1) == (out, said)


@pytest.mark.parametrize(
    ("second", "error", "says"),
    [
        (make(2)[:-1], ArtifactError, r"1\.safetensors.*truncated"),
        (make(2, base=replace(BASE, fingerprint="cd" * 32)), IncompatibleError, "one base model"),
        (
            artifact.to_bytes(compose([artifact.from_bytes(make(seed)) for seed in range(4)])),
            CompositionError,
            "expected each profile once",
        ),
    ],
)
def test_what_does_not_compose_is_refused_and_nothing_written(
    tmp_path: Path, second: bytes, error: type[LetheError], says: str
) -> None:
    with pytest.raises(error, match=says):
        run(tmp_path, make(1), second)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(make(1))
    arguments = ["compose", str(tmp_path / "a"), "--out", str(tmp_path / "none" / "b")]
    with pytest.raises(CompositionError, match="expected a folder"):
        CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
