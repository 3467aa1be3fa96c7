"""What a profile is called: its method, with its digest where the method is another's too."""

from collections import Counter
from collections.abc import Iterable

from lethe_server.attacks.document import Attack
from lethe_server.evaluating.evidence import Evidence
from lethe_server.report import text

LONGEST = 32
"""Characters of a method."""

TOLD_APART = 8
"""Characters of a digest."""

Labels = dict[str, str]
"""By digest."""


def labels(documents: Iterable[Evidence | Attack]) -> Labels:
    """Of every profile that a document is of; evidence, named first, says the method."""
    methods: Labels = {}
    for one in documents:
        methods.setdefault(one.digest, text.shortened(one.method, LONGEST))
    often = Counter(methods.values())
    return {
        digest: f"{method} {digest[:TOLD_APART]}" if often[method] > 1 else method
        for digest, method in methods.items()
    }
