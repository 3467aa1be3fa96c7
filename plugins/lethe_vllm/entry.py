"""What vLLM calls in every process that may run an engine (`vllm.general_plugins`).

vLLM logs a failed import of an entry point and carries on without it, and every request
would then be served unedited. So nothing but the standard library is imported up here:
whatever else fails does so inside `register`, which vLLM lets propagate.
"""


def register() -> None:
    """Installs Lethe's seams into vLLM. Idempotent; they do nothing until Lethe is enabled."""
    from lethe_vllm import compat

    compat.install()
