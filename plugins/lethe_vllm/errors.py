"""What can go wrong while serving, on top of `lethe_projections.errors`.

LetheError
├── SelectionError       a request's selection is malformed or contradicts itself (400)
├── UnknownProfileError  no profile of that name or digest                        (404)
├── UnsupportedError     the engine cannot serve this, as it was started          (409)
├── ConflictError        a name is pinned                                         (409)
├── PreconditionError    a name means something else than the change asks for     (412)
└── UnavailableError     the profile exists, but could not be made resident       (503)
"""

from lethe_projections.errors import LetheError


class SelectionError(LetheError):
    """The request's selection of a variant is malformed or contradicts itself."""

    http_status = 400


class UnknownProfileError(LetheError):
    """No profile has the requested name or digest."""

    http_status = 404


class UnsupportedError(LetheError):
    """The running engine, as it was configured, cannot do what was asked."""

    http_status = 409


class ConflictError(LetheError):
    """What was asked contradicts the state of a name."""

    http_status = 409


class PreconditionError(LetheError):
    """A name does not mean what it has to for the change that was asked for."""

    http_status = 412


class UnavailableError(LetheError):
    """The profile is known but is not resident and could not be loaded."""

    http_status = 503
