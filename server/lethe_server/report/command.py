"""The parts together, as `lethe report` runs them."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from lethe_projections import durable
from lethe_projections.errors import LetheError
from lethe_server.report.gather import Results, gather


def write(paths: Sequence[Path], out: Path, markdown: Path | None, title: str) -> Results:
    """Writes the page, and the table if it is asked for; returns what they are made of.

    Raises:
        LetheError: as `gather`, or no matplotlib, or a table of attacks alone.
        OSError: a file cannot be read or written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise LetheError(
            "report: expected matplotlib, which draws its plots, found none; pip install "
            "'vllm-lethe[evaluation]'"
        )
    from lethe_server.report import page, table

    found = gather(paths)
    if markdown is not None and not found.evidence:
        raise LetheError(
            "report: expected evidence for the table of --markdown, found attacks alone; name the "
            "folder of 'lethe eval' too, or leave --markdown out"
        )
    durable.write(out, page.page(found, title))
    if markdown is not None:
        durable.write(markdown, table.markdown(found))
    return found
