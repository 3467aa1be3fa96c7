"""docs/format.md: its file is made again to the byte, and its reader reads it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from lethe_projections import artifact, profile, strict_json
from tests.unit.documents.blocks import ROOT, blocks

PAGE = "docs/format.md"


def run(block: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dumped() -> bytes:
    dump = next(one.text for one in blocks(PAGE) if one.text.startswith("0000  "))
    return b"".join(bytes.fromhex(line[6:53]) for line in dump.splitlines())


def test_the_writer_of_the_page_makes_the_bytes_of_the_page(dumped: bytes, tmp_path: Path) -> None:
    writer, digest, *_ = (one.text for one in blocks(PAGE))
    assert run(writer, tmp_path) == digest
    assert (tmp_path / "tiny.safetensors").read_bytes() == dumped
    assert hashlib.sha256(dumped).hexdigest() == digest.strip()


def test_the_reader_of_the_page_needs_nothing_of_lethe(dumped: bytes, tmp_path: Path) -> None:
    reader, output = (one.text for one in blocks(PAGE)[-2:])
    assert "lethe_projections" not in reader
    (tmp_path / "tiny.safetensors").write_bytes(dumped)
    assert run(reader, tmp_path) == output


def test_lethe_reads_the_bytes_of_the_page(dumped: bytes) -> None:
    found = artifact.from_bytes(dumped)
    assert artifact.to_bytes(found) == dumped
    assert found.projectors[0].A.tolist() == [[1.0, 0.0]]


def test_the_limits_are_those_of_the_code() -> None:
    page = (ROOT / PAGE).read_text()
    assert f"| the file | {artifact.MAX_BYTES // 2**20} MiB |" in page
    assert f"| the header | {artifact.MAX_HEADER_BYTES // 2**20} MiB |" in page
    assert f"| JSON | {strict_json.MAX_DEPTH} levels deep;" in page
    assert f"together | {profile.MAX_RANK}, and `hidden_size` |" in page
    assert f"format version {artifact.FORMAT_VERSION};" in page
