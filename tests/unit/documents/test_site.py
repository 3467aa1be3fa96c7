"""The documentation site: what breaks its build, and that it needs no other host."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from docs.making.links import PAGES, Repository
from tests.unit.documents.blocks import ROOT

LOADS = {"img": "src", "script": "src", "iframe": "src", "link": "href", "source": "srcset"}
"""What a browser fetches by itself, by element."""


def build(root: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The documentation's files alone, and the names of others that it links to."""
    root = tmp_path / "copy"
    for name in ("mkdocs.yml", *PAGES):
        if (ROOT / name).exists():
            root.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "docs", root / "docs")
    for name in ("LICENSE", "examples", "server", "docker", "tests", "projections", "plugins"):
        (root / name).symlink_to(ROOT / name)
    return root


class Loaded(HTMLParser):
    """What a page has a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "link" and found.get("rel") in {"canonical", "prev", "next"}:
            return
        address = found.get(LOADS.get(tag, ""))
        if address is not None:
            self.addresses.append(address)


def test_a_page_loads_nothing_from_another_host(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert not [one for one in loaded.addresses if re.match("(https?:)?//", one)], page
        assert 'class="mermaid"' not in page.read_text(), "Material fetches its renderer"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", style.read_text()), style


def test_every_image_has_words_in_its_place() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for words in re.findall(r"!\[([^\]]*)\]\(", page.read_text()):
            assert len(words.split()) >= 3, page
    for drawing in (ROOT / "docs" / "images").glob("*.svg"):
        assert re.search("<title[^>]*>.+</title>.*<desc[^>]*>.+</desc>", drawing.read_text(), re.S)


def test_every_top_level_page_is_there(site: Path) -> None:
    for source, page in PAGES.items():
        if (ROOT / source).exists():
            name = page.removesuffix(".md")
            built = site / "index.html" if name == "index" else site / name / "index.html"
            assert built.is_file(), source


def test_nothing_but_pages_is_there(site: Path) -> None:
    kinds = {file.suffix for file in site.rglob("*") if file.is_file()}
    assert kinds <= {".css", ".gz", ".html", ".js", ".json", ".map", ".png", ".svg", ".xml"}


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("docs/policy.md", "[x](nowhere.md)"),
        ("docs/policy.md", "[x](operations.md#no-such-heading)"),
        ("docs/policy.md", "[x](#no-such-heading)"),
        ("docs/policy.md", "![x](images/nothing.svg)"),
        ("README.md", "[x](docs/nowhere.md)"),
        ("README.md", "[x](NOWHERE.md)"),
        ("README.md", "[x](docs/policy.md#no-such-heading)"),
        ("ARCHITECTURE.md", "[x](server/nothing.py)"),
    ],
)
def test_a_broken_link_or_anchor_stops_the_build(copy: Path, page: str, link: str) -> None:
    file = copy / page
    file.write_text(f"{file.read_text()}\n{link}\n")
    done = build(copy, copy / "site")
    assert done.returncode != 0
    assert re.search(r"\(?(nowhere|NOWHERE|no-such-heading|nothing)", done.stderr)


def test_a_page_outside_the_navigation_stops_the_build(copy: Path) -> None:
    (copy / "docs" / "stray.md").write_text("# Stray\n")
    done = build(copy, copy / "site")
    assert done.returncode != 0
    assert "stray.md" in done.stderr


def test_the_copy_builds_as_it_is(copy: Path) -> None:
    done = build(copy, copy / "site")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("source", "page", "text", "expected"),
    [
        ("README.md", "index.md", "[a](docs/policy.md#x)", "[a](policy.md#x)"),
        ("README.md", "index.md", "[a](ARCHITECTURE.md)", "[a](architecture.md)"),
        ("docs/policy.md", "policy.md", "[a](../README.md)", "[a](index.md)"),
        ("docs/policy.md", "policy.md", "[a](operations.md)", "[a](operations.md)"),
        ("README.md", "index.md", "[the rights](LICENSE)", "the rights (`LICENSE`)"),
        ("README.md", "index.md", "[`LICENSE`](LICENSE)", "`LICENSE`"),
        ("README.md", "index.md", "[a](https://x.org/LICENSE)", "[a](https://x.org/LICENSE)"),
        ("README.md", "index.md", "`[a](LICENSE)`", "`[a](LICENSE)`"),
        ("README.md", "index.md", "```\n[a](LICENSE)\n```", "```\n[a](LICENSE)\n```"),
        ("README.md", "index.md", "[a](missing.md)", "[a](missing.md)"),
    ],
)
def test_links_have_the_form_of_the_site(source: str, page: str, text: str, expected: str) -> None:
    assert Repository(ROOT).rewritten(text, source, page) == expected


def test_files_that_are_no_pages_are_linked_where_the_repository_has_an_address() -> None:
    found = Repository(ROOT, "https://x.org/").rewritten("[a](LICENSE#b)", "README.md", "index.md")
    assert found == "[a](https://x.org/LICENSE#b)"


def test_the_configuration_reads_nothing_of_fonts_and_scripts_from_elsewhere() -> None:
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert configuration["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "repo_url"} & configuration.keys()


def test_checking_a_change_builds_the_site() -> None:
    assert re.search(r"^check: .*\bdocs\b", (ROOT / "Makefile").read_text(), flags=re.M)
