"""What MkDocs calls: some files of the top level are pages, and links are the site's."""

from pathlib import Path
from typing import Any

from docs.making.links import PAGES, Repository

ROOT = Path(__file__).parents[2]
_SOURCES = {page: source for source, page in PAGES.items()}


def on_files(files: Any, config: Any) -> Any:
    """Adds the files of the top level that are pages."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        if (ROOT / source).exists():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Gives a page's links their form on the site."""
    at = page.file.src_uri
    repository = Repository(ROOT, config.extra.get("repository") or "")
    return repository.rewritten(markdown, _SOURCES.get(at, f"docs/{at}"), at)
