"""The part of a page that a command writes, between two markers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Marked:
    """Two lines of a page; what stands between them is made."""

    begin: str
    end: str

    def inserted(self, page: str, made: str) -> str:
        """The page with what stands between the markers replaced.

        Raises:
            ValueError: a marker is missing.
        """
        before, found, rest = page.partition(self.begin)
        _, ended, after = rest.partition(self.end)
        if not (found and ended):
            raise ValueError(
                f"expected the lines {self.begin!r} and {self.end!r} in the page; put them back"
            )
        return f"{before}{self.begin}\n\n{made}\n{self.end}{after}"

    def extracted(self, page: str) -> str:
        """What stands between the markers."""
        return page.partition(self.begin)[2].partition(self.end)[0].strip("\n") + "\n"
