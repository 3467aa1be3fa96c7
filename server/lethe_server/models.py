"""The list of models: the base's names, and one more for each profile.

`vLLM` asks whether a name is served and what to call the model in an answer; both follow the
variant of the request at hand, so that a name which the middleware did not see is unknown.
"""

from lethe_server.asking import profile_of
from lethe_server.policy.caller import calling
from lethe_server.serving import Serving
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import Selection, current


def is_variant(model: str, serving: Serving) -> bool:
    """Whether `model` is `<served>:<profile>` for the variant that serves this request."""
    profile, variant = profile_of(model, serving.served), current.get()
    if profile is None or variant is None:
        return False
    try:
        return Selection.parse(profile).agreed(variant.selection) is not None
    except SelectionError:
        # The middleware has let this request pass, so it is not what the request names.
        return False


def answering(name: str) -> str:
    """What an answer calls the model, given the base's or an adapter's name."""
    variant = current.get()
    return name if variant is None or variant.is_base else f"{name}:{variant.name}"


def is_shown(model: str, serving: Serving) -> bool:
    """Whether whoever asks is shown a name of vLLM's: all but adapters that it may not use."""
    return model not in serving.adapters or calling.get().permits_adapter(model)


def variants(serving: Serving) -> list[dict[str, str]]:
    """What OpenAI's model list says of each profile that whoever asks may see, and its digest."""
    parent = serving.served[0]
    return [
        {"id": f"{parent}:{entry.name}", "parent": parent, "unlearning_digest": entry.digest}
        for entry in serving.entries()
        if calling.get().sees(entry.name)
    ]
