"""What matplotlib writes, made a part of a page: ids of its own, no style for others, no links."""

from collections.abc import Mapping

# What is parsed was written by matplotlib a moment before.
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup

LEFT_OUT = {"metadata", "style"}
ABSOLUTE = ("width", "height", "version")
"""What of the outermost element would keep it from taking the size that the page gives it."""


def inline(svg: bytes, prefix: str, alt: str, colours: Mapping[str, str]) -> Markup:
    """An element `svg` for a page of HTML.

    Args:
        svg: as matplotlib writes it.
        prefix: of its ids; each on a page has another.
        alt: what it shows, for those who do not see it.
        colours: what to write for a colour.
    """
    root = ElementTree.fromstring(svg)  # noqa: S314
    for element in list(root.iter()):
        _without_namespaces(element)
    _renamed(root, prefix)
    _coloured(root, colours)
    for name in ABSOLUTE:
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": alt}
    # ElementTree has escaped every text and attribute.
    return Markup(ElementTree.tostring(root, "unicode"))  # noqa: S704


def _without_namespaces(element: Element) -> None:
    """HTML knows the elements of SVG by their names."""
    element.tag = _local(element.tag)
    element.attrib = {_local(key): value for key, value in element.attrib.items()}
    for child in [one for one in element if _local(one.tag) in LEFT_OUT]:
        element.remove(child)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _renamed(root: Element, prefix: str) -> None:
    """Keeps the ids that something refers to, under other names."""
    values = " ".join(value for one in root.iter() for value in one.attrib.values())
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if name and f"#{name}" in values:
            element.set("id", f"{prefix}{name}")
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "href" or value.startswith("url(#"):
                element.set(key, value.replace("#", f"#{prefix}"))


def _coloured(root: Element, colours: Mapping[str, str]) -> None:
    for element in root.iter():
        for ours, pages in colours.items():
            for key, value in element.attrib.items():
                element.set(key, value.replace(ours, pages))
