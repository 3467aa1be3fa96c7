"""What an export says of the profile that it came from. Knows no format."""

from dataclasses import asdict
from typing import Any

from lethe_projections import artifact
from lethe_projections.profile import Profile


def of(profile: Profile) -> dict[str, Any]:
    """A JSON object: the artifact's digest, how it was made, and for which base model."""
    return {
        "digest": artifact.digest(artifact.to_bytes(profile)),
        "method": profile.method,
        "hyperparameters": profile.hyperparameters,
        "provenance": profile.provenance,
        "base": asdict(profile.base),
    }
