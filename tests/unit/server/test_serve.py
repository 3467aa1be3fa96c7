"""What `lethe serve` hands to vLLM."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from lethe_projections import embedded
from lethe_server import compat, serve
from lethe_vllm.errors import UnsupportedError


def test_every_plugin_that_loads_by_default_still_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Points:
        groups = ("console_scripts", "vllm.general_plugins", "vllm.endpoint_plugins")

    class Point:
        def __init__(self, name: str) -> None:
            self.name = name

    def entry_points(group: str | None = None) -> object:
        return Points() if group is None else [Point(f"from {group}")]

    monkeypatch.setattr(serve.metadata, "entry_points", entry_points)
    assert serve.plugins(None) == ["from vllm.general_plugins", "lethe"]


def test_a_users_own_choice_of_plugins_is_kept() -> None:
    assert serve.plugins("mine") == ["lethe", "mine"]
    assert serve.plugins("lethe") == ["lethe"]
    assert serve.plugins("") == ["lethe"]


def test_the_users_options_stand_after_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "resolve", lambda model: "/somewhere")
    found = serve.arguments("embedded", ["--host", "0.0.0.0"])
    assert found[0] == "/somewhere"
    assert found[-2:] == ["--host", "0.0.0.0"]
    assert found.index("127.0.0.1") < found.index("0.0.0.0")
    assert serve.SERVED_NAME in found


def test_another_model_has_no_defaults() -> None:
    assert serve.arguments("org/model", ["-tp", "2"]) == ["org/model", "-tp", "2"]


def test_an_option_in_place_of_the_model_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="the model first"):
        serve.arguments("--port", ["8000", "org/model"])


def test_lethes_options_join_the_users_additional_config() -> None:
    parsed = Namespace(additional_config={"mine": 1})
    assert serve.with_options(parsed, {"sites": "block"}) == {
        "mine": 1,
        "lethe": {"sites": "block"},
    }


def test_two_sets_of_lethes_options_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="--profiles, --sites"):
        serve.with_options(Namespace(additional_config={"lethe": {}}), {})


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ({"grpc": True}, {}),
        ({"grpc_port": 1}, {}),
        ({"grpc": False, "grpc_port": None}, {"VLLM_USE_RUST_FRONTEND": "1"}),
    ],
)
def test_a_front_end_that_cannot_name_profiles_is_refused(
    options: dict[str, Any], environment: dict[str, str]
) -> None:
    with pytest.raises(UnsupportedError, match="named there"):
        serve.refuse_other_front_ends(Namespace(**options), environment)
    neither = Namespace(grpc=False, grpc_port=None)
    serve.refuse_other_front_ends(neither, {"VLLM_USE_RUST_FRONTEND": "0"})


def test_an_option_in_a_configuration_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("grpc: true\n")
    parsed = compat.parse_serve(["a-model", "--config", str(file)])
    with pytest.raises(UnsupportedError, match="found --grpc;"):
        serve.refuse_other_front_ends(parsed, {})
