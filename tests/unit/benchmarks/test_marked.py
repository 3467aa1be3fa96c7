"""What stands between two markers of a page is made, all else is kept."""

import pytest

from benchmarks.marked import Marked

MARKED = Marked("<!-- from here -->", "<!-- to here -->")


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = f"# Mine\n{MARKED.begin}\nold\n{MARKED.end}\nand mine\n"
    new = MARKED.inserted(page, "new\n")
    assert new.startswith("# Mine\n")
    assert new.endswith("\nand mine\n")
    assert "old" not in new
    assert MARKED.extracted(new) == "new\n"
    assert MARKED.inserted(new, "new\n") == new


@pytest.mark.parametrize("page", ["# nothing", MARKED.begin, MARKED.end + MARKED.begin])
def test_a_page_without_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="put them back"):
        MARKED.inserted(page, "new")
