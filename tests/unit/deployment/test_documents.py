"""What docs/deploying.md and docs/multi-node.md tell one to type is understood, and is there."""

import json
import re
from pathlib import Path

import pytest
import yaml

from lethe_vllm.options import Options

from .conftest import Understood
from .places import DOCKER, KUBERNETES, ROOT

DEPLOYING = (ROOT / "docs" / "deploying.md").read_text()
MACHINES = (ROOT / "docs" / "multi-node.md").read_text()


def commands(page: str) -> list[list[str]]:
    """The words of each command line that serves."""
    joined = re.sub(r" \\\n\s*", " ", page)
    found = re.findall(r"^(?:lethe|docker run .*?vllm-lethe:gpu) (serve .*)$", joined, re.MULTILINE)
    return [line.partition(" #")[0].replace(" ... ", " ").split() for line in found]


@pytest.mark.parametrize("words", commands(DEPLOYING) + commands(MACHINES), ids=" ".join)
def test_every_command_that_serves_is_understood(words: list[str], understood: Understood) -> None:
    understood(words)


def test_there_are_such_commands() -> None:
    assert len(commands(DEPLOYING)) == 1
    machines = commands(MACHINES)
    assert [("--headless" in words) for words in machines] == [False, True]


def started() -> list[str]:
    """Each command of a page, or of a comment, that starts a container."""
    files = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *DOCKER.glob("*")]
    texts = [re.sub(r" \\\n[# ]*", " ", file.read_text()) for file in files if file.is_file()]
    return [line for text in texts for line in re.findall(r"^[# ]*(docker run .*)$", text, re.M)]


def test_every_container_has_the_memory_that_vllms_processes_share_and_time_to_stop() -> None:
    """Docker gives 64 MiB and 10 s; vLLM's queues want up to 240 MiB."""
    assert len(started()) == 4
    for command in started():
        assert "--shm-size 1g " in command or "--ipc host " in command, command
        assert "--stop-timeout 90 " in command or "/smoke.sh" in command, command


def test_what_vllms_own_key_guards_is_as_the_page_on_security_says() -> None:
    from vllm.entrypoints.serve.middleware.authenticate import GUARDED_PREFIX

    page = (ROOT / "docs" / "security.md").read_text()
    said = re.search(r"guards only what begins with ([^.]*)\.\s+((?:(?:, | and )?`/\w+`)+)", page)
    assert said is not None
    assert tuple(re.findall(r"`(.*?)`", said[1])) == GUARDED_PREFIX
    left_open = re.findall(r"`(.*?)`", said[2])
    assert {"/invocations", "/metrics"} < set(left_open)
    assert not any(route.startswith(GUARDED_PREFIX) for route in left_open)


def test_every_option_of_the_page_on_several_machines_is_there(understood: Understood) -> None:
    rows = re.findall(r"^\| (`--.*?) \|", MACHINES, re.MULTILINE)
    options = {word for row in rows for word in re.findall(r"`(--[\w-]+)", row)}
    assert {"--nnodes", "--node-rank", "--master-addr", "--headless", "--store"} <= options
    _, passed = understood(["serve", "m"])
    lethes = {"--store", "--objects", "--policy", "--audit", "--source", "--sites"}
    lethes |= {"--lethe-bank-mb", "--lethe-when-full"}
    for option in options - lethes:
        assert hasattr(passed, option.removeprefix("--").replace("-", "_")), option


def test_every_file_that_they_name_is_there() -> None:
    named = set(re.findall(r"`(docker/[\w./-]+|requirements/[\w./-]+)`", DEPLOYING))
    assert {"docker/smoke.sh", "docker/compose.yaml", "docker/Dockerfile"} <= named
    made = {"docker/.env"}
    assert [name for name in named - made if not (ROOT / name).exists()] == []
    for example in re.findall(r"^cp (\S+) (?!docker)", DEPLOYING, re.MULTILINE):
        assert (KUBERNETES / example).is_file() or (ROOT / example).is_file(), example


def test_the_values_for_production_stack_are_options_of_lethe() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", DEPLOYING, re.DOTALL)
    (model,) = yaml.safe_load(text)["servingEngineSpec"]["modelSpec"]
    arguments = model["vllmConfig"]["extraArgs"]
    Options.parse(json.loads(arguments[arguments.index("--additional-config") + 1])["lethe"])
    assert {"name": "VLLM_PLUGINS", "value": "lethe"} in model["env"]


def test_the_images_of_the_page_are_those_of_the_recipes() -> None:
    for file in ("Dockerfile", "Dockerfile.cpu"):
        base = re.search(r"^ARG BASE_IMAGE=(\S+)$", (DOCKER / file).read_text(), re.MULTILINE)
        assert base is not None
        assert base[1] in DEPLOYING


def test_the_load_of_the_page_is_what_was_measured() -> None:
    from benchmarks.replicas import report

    results = json.loads(Path(report.RESULTS).read_text())
    assert report.MARKED.extracted(DEPLOYING) == report.markdown(results)
