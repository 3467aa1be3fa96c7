"""`lethe serve`: vLLM's own server, with Lethe in it.

What stands after the model and Lethe's own options goes to vLLM as it is.
"""

import importlib.util
import os
import signal
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from lethe_projections import embedded
from lethe_server.policy import following
from lethe_server.settings import Settings
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.options import CONFIG_KEY, Options
from lethe_vllm.store.database import check_url

SERVED_NAME = "smollm2"
"""What requests call the embedded model, unless told otherwise."""

EMBEDDED_DEFAULTS = (
    *("--host", "127.0.0.1"),
    *("--served-model-name", SERVED_NAME),
    # vLLM's own default on a CPU is 92 % of the memory; this holds 90 000 tokens of this model.
    *("--kv-cache-memory-bytes", "2G"),
)
"""Stand before the user's own options, which therefore win."""

_CHOSEN_IDS = "VLLM_DISABLE_REQUEST_ID_RANDOMIZATION"
_GROUP_PREFIX = "vllm."
_OPT_IN_GROUP = "vllm.endpoint_plugins"
"""vLLM loads these only when they are named."""


def serve(model: str, extra: Sequence[str], lethe: Mapping[str, Any]) -> None:
    """Serves until stopped.

    Args:
        model: `embedded`, a folder, or a Hugging Face id.
        extra: options for vLLM's server.
        lethe: as `Options`; without `profiles` or `store`, profiles go with the server.

    Raises:
        LetheError: the options are wrong, or the engine cannot serve variants under them, or there
            is no vLLM.
        SystemExit: vLLM's own options are wrong.
    """
    check_vllm()
    options = Options.parse(lethe)
    Settings.parse(options.server)
    if options.place is not None:
        check_url(options.place.database)
    policy = lethe.get("server", {}).get("policy")
    if policy:
        following.read(Path(policy))
    # Before vLLM is imported, and inherited by every process it starts.
    os.environ["VLLM_PLUGINS"] = ",".join(plugins(os.environ.get("VLLM_PLUGINS")))
    from lethe_server import compat

    with tempfile.TemporaryDirectory(prefix="lethe-profiles-") as temporary:
        parsed = compat.parse_serve(arguments(model, extra))
        refuse_other_front_ends(parsed, os.environ)
        if policy:
            refuse_other_keys(parsed, os.environ)
            refuse_chosen_ids(os.environ)
            # Each process that answers requests reads the file at SIGHUP. Those that do not, and
            # those still starting, are not to end by it; what they start inherits that.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        parsed.enable_request_id_headers = False  # Lethe's server sends them anyway
        parsed.additional_config = with_options(parsed, placed(lethe, Path(temporary)))
        compat.run_serve(parsed)


def check_vllm() -> None:
    """Raises UnsupportedError where vLLM is not installed: it is an extra, one for each device."""
    if importlib.util.find_spec("vllm") is None:
        raise UnsupportedError(
            "lethe serve: expected vLLM, found none; pip install 'vllm-lethe[gpu]', or "
            "'vllm-lethe[cpu]' where there is no GPU"
        )


def arguments(model: str, extra: Sequence[str]) -> list[str]:
    """What vLLM's command line says for a model. Prepares the embedded one, if asked for.

    Raises:
        UnsupportedError: an option stands where the model belongs.
    """
    if model.startswith("-"):
        raise UnsupportedError(
            f"lethe serve: expected the model first, found {model!r}; "
            "write 'lethe serve MODEL --option value'"
        )
    defaults = EMBEDDED_DEFAULTS if model == embedded.NAME else ()
    return [embedded.resolve(model), *defaults, *extra]


def placed(options: Mapping[str, Any], temporary: Path) -> dict[str, Any]:
    """The options with the place of profiles in them, which every process must find.

    Args:
        options: the user's.
        temporary: a folder for where they name none.
    """
    if options.get("profiles") is None and options.get("store") is None:
        return {**options, "profiles": str(temporary)}
    folder = options.get("profiles")
    return {**options, "profiles": None if folder is None else str(Path(folder).resolve())}


def with_options(parsed: Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """The user's `--additional-config` with Lethe's options in it.

    Raises:
        UnsupportedError: it already has other options for Lethe.
    """
    given: dict[str, Any] = parsed.additional_config or {}
    if CONFIG_KEY in given:
        raise UnsupportedError(
            f"--additional-config: expected no {CONFIG_KEY!r} in it, found {given[CONFIG_KEY]!r}; "
            "use --profiles, --sites and --lethe-..."
        )
    return {**given, CONFIG_KEY: dict(options)}


def plugins(configured: str | None) -> list[str]:
    """What `VLLM_PLUGINS` must name for Lethe to load beside what loads anyway.

    Args:
        configured: its present value; None means all but endpoint plugins.
    """
    if configured is not None:
        names = {name for name in configured.split(",") if name}
    else:
        names = {
            point.name
            for group in metadata.entry_points().groups
            if group.startswith(_GROUP_PREFIX) and group != _OPT_IN_GROUP
            for point in metadata.entry_points(group=group)
        }
    return sorted(names | {"lethe"})


def refuse_other_keys(parsed: Namespace, environment: Mapping[str, str]) -> None:
    """Refuses vLLM's keys beside a policy: a request has one, which would have to be both.

    Raises:
        UnsupportedError: there are some.
    """
    found = [
        name
        for name, given in (
            ("--api-key", getattr(parsed, "api_key", None)),
            ("VLLM_API_KEY", environment.get("VLLM_API_KEY")),
        )
        if given
    ]
    if found:
        raise UnsupportedError(
            f"lethe serve --policy: expected no other keys, found {' and '.join(found)}; leave it "
            "out and put that key's sha256 into the policy: vLLM would refuse every other key, "
            "and knows nothing of profiles"
        )


def refuse_chosen_ids(environment: Mapping[str, str]) -> None:
    """Refuses request ids in the engine that a client chooses, who may choose another's.

    Raises:
        UnsupportedError: vLLM is told to leave them as they come.
    """
    if environment.get(_CHOSEN_IDS, "0") not in ("", "0"):
        raise UnsupportedError(
            f"lethe serve --policy: expected vLLM to make the ids of requests unique, found "
            f"{_CHOSEN_IDS} set, with which the requests of two keys can have one id; unset it"
        )


def refuse_other_front_ends(parsed: Namespace, environment: Mapping[str, str]) -> None:
    """Refuses vLLM's front ends that have no place for endpoint plugins.

    Requests through them could not name a profile, and would be served by the base.

    Args:
        parsed: vLLM's own options, wherever they stood (`--config` names a file of them).
        environment: variables.

    Raises:
        UnsupportedError: one is asked for.
    """
    rust = environment.get("VLLM_USE_RUST_FRONTEND", "0") not in ("", "0")
    found = {
        "--grpc": getattr(parsed, "grpc", False),
        "--grpc-port": getattr(parsed, "grpc_port", None) is not None,
        "VLLM_USE_RUST_FRONTEND": rust,
    }
    if any(found.values()):
        raise UnsupportedError(
            "lethe serve: expected vLLM's Python HTTP server, found "
            f"{', '.join(name for name, given in found.items() if given)}; leave it out: a profile "
            "cannot be named there"
        )
