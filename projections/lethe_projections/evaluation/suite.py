"""A suite: facts, the prompts that ask for them, and which of them should be forgotten.

Knows nothing of files; `suite_file` reads them, `loaders` those of other projects.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lethe_projections.errors import SuiteError
from lethe_projections.evaluation import split
from lethe_projections.evaluation.prompt import Prompt

SETS = {
    "forget": "should be forgotten",
    "neighbour": "should be kept, and is of the same kind as what should be forgotten",
    "unrelated": "should be kept, and is of another kind",
    "never_known": "does not exist; what is recovered of it is recovered without knowledge",
}


@dataclass(frozen=True)
class Item:
    """One fact.

    Attributes:
        subject: what it is about.
        relation: what kind of fact it is.
        set: a key of `SETS`.
        answers: what is accepted as the truth; the first is the one that is scored by likelihood.
        prompts: what asks for it.
        number: which of the subject's facts of that relation.
    """

    subject: str
    relation: str
    set: str
    answers: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    number: int = 0

    @property
    def id(self) -> str:
        """Readable, and unique in its suite."""
        return f"{self.relation}/{self.subject}" + (f"#{self.number}" if self.number else "")

    @property
    def split(self) -> str:
        """See `split.RULE`."""
        return split.of(self.subject)


@dataclass(frozen=True)
class Suite:
    """Facts from one file.

    Attributes:
        name: short.
        version: of the suite's content.
        description: a sentence or two.
        licence: an SPDX identifier, or words.
        digest: sha256 of the file, 64 hex digits.
        items: in the file's order.
    """

    name: str
    version: str
    description: str
    licence: str
    digest: str
    items: tuple[Item, ...]

    def of(self, *sets: str) -> tuple[Item, ...]:
        """The items of the sets named, in order."""
        return tuple(item for item in self.items if item.set in sets)

    def half(self, which: str) -> "Suite":
        """The items of one split; see `split.RULE`. Subjects that do not exist are in both."""
        kept = (i for i in self.items if i.split == which or i.set == "never_known")
        return replace(self, items=tuple(kept))

    def forgetting(self, subjects: Iterable[str]) -> "Suite":
        """The same facts, sorted anew by what one profile should forget.

        Other facts of those subjects' relations become neighbours, all further ones unrelated;
        facts that do not exist stay what they are.

        Raises:
            SuiteError: a subject is none of the suite's.
        """
        chosen = set(subjects)
        unknown = sorted(chosen - {i.subject for i in self.items if i.set != "never_known"})
        if unknown:
            raise SuiteError(
                f"expected subjects of the suite {self.name}, found {', '.join(unknown)!s:.200}; "
                "write them as the suite does, or evaluate this suite by a command of its own"
            )
        relations = {item.relation for item in self.items if item.subject in chosen}
        items = (replace(i, set=_set(i, chosen, relations)) for i in self.items)
        return replace(self, items=tuple(items))


def _set(item: Item, forgotten: set[str], relations: set[str]) -> str:
    if item.set == "never_known":
        return item.set
    if item.subject in forgotten:
        return "forget"
    return "neighbour" if item.relation in relations else "unrelated"
