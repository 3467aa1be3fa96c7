"""The page: one file, which asks nothing of the network and runs nothing."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lethe_server.evaluating import showing
from lethe_server.evaluating.not_shown import NOT_SHOWN
from lethe_server.report import text
from lethe_server.report.gather import Results
from lethe_server.report.grouping import Conditions
from lethe_server.report.sections import sections

TEMPLATE = "page.html.j2"

FILTERS: Mapping[str, Any] = {
    "number": text.number,
    "interval": text.interval,
    "short": text.short,
    "counted": text.counted,
    "tables": showing.sections,
    "said": lambda document: Conditions.of(document).said,
}


def page(found: Results, title: str) -> bytes:
    """The whole of it, the same for the same."""
    environment = Environment(
        loader=PackageLoader("lethe_server.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    template = environment.get_template(TEMPLATE)
    said = {"title": title, "page": sections(found), "not_shown": NOT_SHOWN}
    return template.render(said).encode()


def _shown(value: object) -> object:
    """What a document says, not what is markup already."""
    return text.plain(value) if type(value) is str else value
