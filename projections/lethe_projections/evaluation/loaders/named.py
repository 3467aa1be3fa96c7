"""Other projects' files by one line of text, as a command line has them.

    LOADER:WHAT=FILE[,WHAT=FILE...]

WHAT is a key of `suite.SETS`; for PISTOL the edges to forget, joined by `+`. Several files make one
suite, `tofu:forget=forget01_perturbed.json,unrelated=world_facts_perturbed.json`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from lethe_projections.errors import SuiteError
from lethe_projections.evaluation.loaders import muse, pistol, rwku, tofu, wmdp
from lethe_projections.evaluation.suite import Suite

LOADERS: Mapping[str, Callable[[str, str], Suite]] = {
    "tofu": tofu.load,
    "pistol": lambda file, edges: pistol.load(file, edges.split("+")),
    "wmdp": wmdp.load,
    "muse": muse.load,
    "rwku": rwku.load,
}


def matches(text: str) -> bool:
    """Whether a text names a loader."""
    loader, colon, _ = text.partition(":")
    return bool(colon) and loader in LOADERS


def load(text: str) -> Suite:
    """Reads what a text that `matches` names.

    Raises:
        SuiteError: a part is no `WHAT=FILE`, or its file is not one of the loader's, or two files
            have the same fact.
    """
    loader, _, parts = text.partition(":")
    return _joined(loader, [_part(loader, one) for one in parts.split(",")])


def _part(loader: str, text: str) -> Suite:
    what, equals, file = text.partition("=")
    if not (what and equals and file):
        raise SuiteError(
            f"{loader}: expected WHAT=FILE, as in {loader}:forget=FILE, found {text!r:.80}; write "
            "what the file's facts are before it"
        )
    return LOADERS[loader](file, what)


def _joined(loader: str, parts: Sequence[Suite]) -> Suite:
    if len(parts) == 1:
        return parts[0]
    items = tuple(item for part in parts for item in part.items)
    ids = [item.id for item in items]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise SuiteError(
            f"{loader}: expected files of different facts, found {twice[0]!r:.80} in two; give "
            "each file once"
        )
    digests = "\n".join(part.digest for part in parts)
    return Suite(
        name=f"{loader} {', '.join(part.name.partition(' ')[2] for part in parts)}",
        version="",
        description=" ".join(part.description for part in parts),
        licence=parts[0].licence,
        digest=hashlib.sha256(digests.encode()).hexdigest(),
        items=items,
    )
