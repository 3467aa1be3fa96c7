"""What every method is given: a loaded model and the examples. Knows no method."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from torch import nn

from lethe_projections import artifact, chat, decoder, examples
from lethe_projections.base_model import BaseModel
from lethe_projections.capture import Limits
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector

_LIBRARIES = ("torch", "transformers", "safetensors")


@dataclass(frozen=True, eq=False)
class Task:
    """A model, and what it shall and shall not forget.

    Attributes:
        model: transformers decoder, evaluation mode, best in float32; a fit leaves it as it was.
        tokenizer: its fast tokenizer.
        base: `BaseModel.from_checkpoint` of the same checkpoint.
        forget: what must go; may be empty where a method takes subjects alone.
        retain: what must stay; default is the text that ships with the package.
        reference: prompts that the model cannot answer, for the methods that steer towards that;
            default is what ships with the package.
        after: the profile to which this request is added, or None.
        limits: how much text is held at once.
        progress: show a bar with an estimate on stderr, if that is a terminal.

    Raises:
        IncompatibleError: the model is not `base`'s, or its form is not understood.
        FitError: a forget line's subject does not occur in it.
    """

    model: nn.Module
    tokenizer: Any
    base: BaseModel
    forget: tuple[Example, ...] = ()
    retain: tuple[Example, ...] = field(default_factory=lambda: examples.packaged("retain"))
    reference: tuple[Example, ...] = field(default_factory=lambda: examples.packaged("unknown"))
    after: Profile | None = None
    limits: Limits = field(default_factory=Limits)
    progress: bool = False

    def __post_init__(self) -> None:
        decoder.check_dimensions(self.base, self.model)
        examples.check_subjects(self.forget)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The forget lines' subjects, each once, in order."""
        return tuple(dict.fromkeys(e.subject for e in self.forget if e.subject))

    def needs_forget(self) -> tuple[Example, ...]:
        """The forget examples.

        Raises:
            FitError: there are none.
        """
        if not self.forget:
            raise FitError("forget: expected at least one example, found none; give --forget FILE")
        return self.forget

    def retain_without(self, words: Iterable[str]) -> tuple[Example, ...]:
        """Retain examples that mention none of the words, since those ask for the opposite.

        Raises:
            FitError: none is left.
        """
        words = tuple(words)
        kept = tuple(e for e in self.retain if not any(e.mentions(word) for word in words))
        if not kept:
            raise FitError(
                f"expected retain text that does not mention {', '.join(words)!s:.200}, found none "
                f"in {len(self.retain)} examples; give text about other things"
            )
        return kept

    def render(self, example: Example) -> str:
        """The example as the model is served it: templated once if it is a conversation."""
        return self._rendered(example.messages) if example.messages else self._plain(example)

    def render_prompt(self, example: Example) -> str:
        """As `render`, ending where the assistant's last reply begins."""
        if not example.messages:
            return self._plain(example)
        return self._rendered(example.prompt, reply=True)

    @staticmethod
    def begin(example: Example, rendered: str) -> int:
        """Where an example's own words begin in it; a template may write words of its own before.

        0 if the template alters them.
        """
        first = example.messages[0][1] if example.messages else example.text
        return max(0, rendered.find(first.strip()))

    def _rendered(self, messages: tuple[tuple[str, str], ...], reply: bool = False) -> str:
        listed = [{"role": role, "content": content} for role, content in messages]
        return chat.render(self.tokenizer, listed, reply=reply)

    def _plain(self, example: Example) -> str:
        return chat.plain(self.tokenizer, example.text)

    def profile(
        self,
        method: str,
        config: Any,
        projectors: Iterable[Projector],
        *,
        seed: int | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> Profile:
        """The finished profile, with where it comes from.

        Args:
            method: its name.
            config: the method's hyper-parameters, a dataclass, with defaults that depend on the
                model filled in.
            projectors: the edits.
            seed: of whatever was random, or None.
            measured: what the fit found out, plain values.
        """
        return Profile(
            base=self.base,
            projectors=tuple(projectors),
            method=method,
            hyperparameters=asdict(config),
            provenance={
                "forget_sha256": examples.digest(self.forget),
                "forget_examples": len(self.forget),
                "retain_sha256": examples.digest(self.retain),
                "retain_examples": len(self.retain),
                **self._after(),
                "max_tokens": self.limits.max_tokens,
                "dtype": str(getattr(self.model, "dtype", "")).removeprefix("torch."),
                "libraries": {name: metadata.version(name) for name in _LIBRARIES},
                "seed": seed,
                **(measured or {}),
            },
        )

    def referred(self) -> dict[str, str]:
        """For `measured`, of a method that reads the reference prompts: which they were."""
        return {"reference_sha256": examples.digest(self.reference)}

    def _after(self) -> dict[str, str]:
        if self.after is None:
            return {}
        return {"after_sha256": artifact.digest(artifact.to_bytes(self.after))}
