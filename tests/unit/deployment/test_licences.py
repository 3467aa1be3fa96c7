"""Whoever passes an image on can read what is in it, and an unknown licence does not slip in."""

import pytest

import licences
from installed import VLLM


@pytest.mark.skipif(bool(VLLM), reason="the page is of the main lock")
def test_the_page_is_what_the_lock_and_its_metadata_say() -> None:
    assert licences.DOCUMENT.read_text() == licences.document(), "run 'make licences'"


@pytest.mark.parametrize(
    ("licence", "kind"),
    [
        ("MIT", "permissive"),
        ("Apache-2.0 AND BSD-3-Clause", "permissive"),
        ("Apache Software License; MIT License", "permissive"),
        ("LGPL-3.0-only", "weak copyleft"),
        ("MPL-2.0 AND MIT", "weak copyleft"),
        ("GPL-3.0-only OR MIT", "permissive"),
        ("LGPL-2.1-only OR MIT", "permissive"),
        ("Intel End User License Agreement for Developer Tools", "proprietary"),
    ],
)
def test_of_several_the_strictest_counts_and_of_alternatives_the_mildest(
    licence: str, kind: str
) -> None:
    assert licences.kind(licence) == kind


@pytest.mark.parametrize(
    "licence",
    ["UNKNOWN", "", "GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "Proprietary"],
)
def test_what_nobody_has_read_is_refused(licence: str) -> None:
    with pytest.raises(ValueError, match="expected a licence that"):
        licences.kind(licence)
