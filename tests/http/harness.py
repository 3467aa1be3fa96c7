"""lm-eval's own Python call, in a process of its own: it sets up logging, seeds and caches.

python -m tests.http.harness URL TOKENIZER
reads runs as JSON from standard input, and writes each run's samples as JSON to standard output.
"""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests

from .server import API_KEY

REPOSITORY = Path(__file__).parents[2]
TASKS = "tests/http/lm_eval_tasks"
"""From the repository's root, as in the tasks' own `data_files`."""


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        kind: lm-eval's name of the client.
        path: the endpoint that it asks.
        task: a file in `TASKS`, without its ending.
        options: more arguments of the client, `model` among them.
        chat: whether prompts become conversations.
    """

    kind: str
    path: str
    task: str
    options: dict[str, Any]
    chat: bool = False


def environment(folder: Path) -> dict[str, str]:
    """For lm-eval: nothing from a hub, and its caches in `folder`."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder)}
    return {**os.environ, **offline, "OPENAI_API_KEY": API_KEY}


def samples(runs: dict[str, Run], url: str, tokenizer: str, folder: Path) -> dict[str, Any]:
    """What lm-eval noted of each document, by run; a sentence where the server refused it.

    Raises:
        AssertionError: it failed otherwise.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.http.harness", url, tokenizer],
        input=json.dumps({name: asdict(run) for name, run in runs.items()}),
        capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment(folder),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def evaluated(run: Run, url: str, tokenizer: str) -> list[dict[str, Any]]:
    import lm_eval
    from lm_eval.tasks import TaskManager

    arguments = {"base_url": url + run.path, "num_concurrent": 4, "max_retries": 1}
    if not run.chat:
        arguments["tokenizer"] = tokenizer
    results = lm_eval.simple_evaluate(
        model=run.kind,
        model_args=arguments | run.options,
        tasks=[run.task],
        task_manager=TaskManager(include_path=TASKS, include_defaults=False),
        apply_chat_template=run.chat,
    )
    documents = sorted(results["samples"][run.task], key=lambda sample: sample["doc_id"])
    kept = ("doc", "resps", "acc")
    return [{key: document[key] for key in kept} for document in documents]


def outcome(run: Run, url: str, tokenizer: str) -> list[dict[str, Any]] | str:
    try:
        return evaluated(run, url, tokenizer)
    except requests.HTTPError as error:
        return str(error)


def main() -> None:
    url, tokenizer = sys.argv[1:]
    asked = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        found = {name: outcome(Run(**run), url, tokenizer) for name, run in asked.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
