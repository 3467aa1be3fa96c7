"""Links of a page as they are in the repository, and as they have to be on the site.

On the site some top-level files are pages, and files that are no pages are not there: a link to one
goes to the repository, or becomes the file's name where the repository has no address. A link to
nothing is left as it is, for MkDocs to report. Knows nothing of MkDocs.
"""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting.md",
}
"""Files of the top level that are pages, and where."""

SHOWN = frozenset({".md", ".svg", ".png", ".html", ".json"})
"""Endings of files in docs/ that are on the site."""

_LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]*`)|(?P<image>!?)\[(?P<text>[^\]\[]*)\]\((?P<target>[^()\s]+)\)",
    flags=re.M | re.S,
)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|/")


@dataclass(frozen=True)
class Repository:
    """Where files are.

    Attributes:
        root: the folder of the repository.
        url: what a file's path is added to, such as `https://host/owner/name/blob/main/`; empty
            if there is none.
    """

    root: Path
    url: str = ""

    def rewritten(self, markdown: str, source: str, page: str) -> str:
        """The text of a page with the site's links.

        Args:
            markdown: the text.
            source: the file's path in the repository.
            page: the page's path on the site.
        """

        def replaced(match: re.Match[str]) -> str:
            if match["code"] or _ELSEWHERE.match(match["target"]):
                return match[0]
            path, hash_sign, anchor = match["target"].partition("#")
            found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
            return self._link(match, found, page, hash_sign + anchor)

        return _LINK.sub(replaced, markdown)

    def _link(self, match: re.Match[str], found: str, page: str, anchor: str) -> str:
        start = f"{match['image']}[{match['text']}]"
        on_site = self._on_site(found)
        if on_site is not None:
            return f"{start}({posixpath.relpath(on_site, posixpath.dirname(page) or '.')}{anchor})"
        if found.startswith("..") or not (self.root / found).exists():
            return match[0]
        if self.url:
            return f"{start}({self.url}{found}{anchor})"
        text = match["text"]
        return text if found in text.strip("`") else f"{text} (`{found}`)"

    def _on_site(self, found: str) -> str | None:
        """A repository's file as the site has it; None if it has not."""
        if found in PAGES:
            return PAGES[found] if (self.root / found).exists() else None
        file = self.root / found
        if found.startswith("docs/") and file.is_file() and file.suffix in SHOWN:
            return found.removeprefix("docs/")
        return None
