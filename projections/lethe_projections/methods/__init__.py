"""Every way to fit a profile, by name: one file a method, each with a `Config` and a `fit`.

    fit(task: Task, config: Config) -> Profile

Listed without importing any, so that naming them costs nothing.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lethe_projections.errors import FitError

if TYPE_CHECKING:
    from lethe_projections.methods.hyperparameters import Hyperparameters
    from lethe_projections.profile import Profile
    from lethe_projections.task import Task


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: as on the command line and in a profile's `method`.
        summary: one line.
        uses: what it takes of a task beyond forget and retain examples: `reference`, `after`, and
            `store`, where sums over the retain text are kept.
    """

    name: str
    summary: str
    uses: frozenset[str] = frozenset()

    @property
    def module(self) -> Any:
        """Its file, imported now."""
        return import_module(f"lethe_projections.methods.{self.name.replace('-', '_')}")

    @property
    def config(self) -> "type[Hyperparameters]":
        """Its hyper-parameters."""
        found: type[Hyperparameters] = self.module.Config
        return found

    def fit(self, task: "Task", config: "Hyperparameters | None" = None) -> "Profile":
        """Fits a profile; deterministic on one machine.

        Raises:
            FitError: the data, the model or a hyper-parameter does not allow it.
            IncompatibleError: the model's form is not understood.
        """
        if task.after is not None and "after" not in self.uses:
            raise FitError(
                f"after: expected none, since {self.name} cannot continue a profile, found one of "
                f"method {task.after.method}; fit both requests together, or lethe compose"
            )
        profile: Profile = self.module.fit(task, self.config() if config is None else config)
        return profile


_REFERENCE = frozenset({"reference"})
_AFTER = frozenset({"after"})
_STORE = frozenset({"store"})

METHODS = {
    method.name: method
    for method in (
        Method(
            "rocr",
            "Redirect subjects to another: rank-one concept redirection, closed form.",
            _REFERENCE | _AFTER | _STORE,
        ),
        Method(
            "lunar",
            "Move forget prompts to where unanswerable ones lie: closed form.",
            _REFERENCE | _STORE,
        ),
        Method(
            "rad",
            "Push forget prompts along a random direction: RMU's targets, closed form.",
            _STORE,
        ),
        Method("rab", "Turn forget prompts round along a random direction: closed form.", _STORE),
        Method("ablate", "Project out what tells forget from retain prompts on average."),
        Method("leace", "Erase, least-squares, what tells forget from retain tokens linearly."),
        Method(
            "steer", "Add a vector towards unanswerable prompts, where a gate says so.", _REFERENCE
        ),
        Method("rmu", "Send forget tokens to a random vector: trained low-rank."),
        Method("adaptive-rmu", "RMU relative to each token's own size: trained low-rank."),
        Method("grun", "Refuse forget prompts through a gated edit at the last prompt token."),
        Method(
            "mrp", "Project out directions of the residual, trained through QR; sequential.", _AFTER
        ),
    )
}


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        FitError: there is none.
    """
    if name not in METHODS:
        raise FitError(f"method: expected one of {', '.join(METHODS)}, found {name!r:.80}; use one")
    return METHODS[name]
