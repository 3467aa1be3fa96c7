"""The README.md of an exported profile, which the Hugging Face Hub shows as its card."""

from lethe_projections.profile import Profile
from lethe_server.evaluating import showing
from lethe_server.evaluating.evidence import Evidence

FILE = "README.md"


def text(profile: Profile, digest: str, measured: Evidence | None) -> str:
    """What it is, what it was made of, and what was measured of that.

    Args:
        profile: what was exported.
        digest: of its artifact.
        measured: its evidence, if there is any.
    """
    sites = ", ".join(map(str, profile.sites))
    about = (
        f"# {profile.method}\n\n"
        f"Exported by Lethe from the unlearning profile `{digest}`, for the base model\n"
        f"`{profile.base.fingerprint}` ({profile.base.architecture}). It edits {sites}.\n"
    )
    if measured is None:
        return f"{about}\nNo evidence lay beside it; `lethe eval` measures.\n"
    below = "What follows was measured of the profile, not of this export."
    return f"{about}{below}\n\n{showing.markdown(measured)}"
