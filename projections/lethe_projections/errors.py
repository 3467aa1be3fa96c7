"""What can go wrong, as one small tree. Knows nothing of the engine.

    LetheError
    ├── ArtifactError        an artifact or a part of one is malformed      (HTTP: 400)
    ├── IncompatibleError    it is sound, but for another base model        (HTTP: 409)
    ├── CompositionError     sound profiles that cannot be one              (HTTP: 400)
    ├── CheckpointError      a base model's own files cannot be read
    ├── FitError             a profile cannot be fitted from what was given
    ├── InterchangeError     a profile and another format cannot be turned into each other
    └── SuiteError           prompts to evaluate with cannot be read from a file

Every message says what was expected, what was found and what to do.
"""

from typing import ClassVar


class LetheError(Exception):
    """Any error raised on purpose by Lethe.

    Attributes:
        http_status: what a request that meets it is answered.
    """

    http_status: ClassVar[int] = 500


class ArtifactError(LetheError):
    """A profile artifact, or a value that would go into one, is malformed."""

    http_status = 400


class IncompatibleError(LetheError):
    """A sound profile was made for a different base model than the one at hand."""

    http_status = 409


class CompositionError(LetheError):
    """Profiles, each of them sound, cannot be composed into one."""

    http_status = 400


class CheckpointError(LetheError):
    """A base model's configuration, weights or tokenizer are missing or not understood."""


class FitError(LetheError):
    """A profile cannot be fitted from the subject, target, model or retain text given."""


class InterchangeError(LetheError):
    """Another format's file is malformed, or it and a profile cannot hold the same edit exactly."""


class SuiteError(LetheError):
    """A suite, or another project's data set, is malformed or cannot be read."""
