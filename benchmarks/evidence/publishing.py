"""Writes what a run found as documents: those of `lethe eval` and `lethe attack`, and run.json.

From these files alone `report` makes the page and `lethe report` another one.
"""

import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.evidence.candidates import Candidate
from benchmarks.evidence.choosing import Scores
from benchmarks.evidence.measuring import Measured
from benchmarks.evidence.run import Found
from benchmarks.evidence.serving import Served
from benchmarks.methods import store
from lethe_projections import durable
from lethe_server.attacks import result
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence

RUN, SERVED = "run.json", "served"


def publish(found: Found, folder: Path, processes: int) -> None:
    """Replaces what an earlier run wrote."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for one in (*found.reported, *found.elsewhere):
        _write(one.evidence, folder)
    for attack in found.attacks:
        result.write(attack, folder)
    for served in found.served:
        place = folder / f"{SERVED}-{served.dtype}"
        place.mkdir()
        _write(served.evidence, place)
    store.write_json(folder / RUN, _run(found, processes))


def _write(found: Evidence, folder: Path) -> None:
    durable.write(folder / evidence.file_name(found.digest), evidence.to_bytes(found))


def _run(found: Found, processes: int) -> dict[str, Any]:
    return {
        "machine": f"{platform.machine()}, torch {torch.__version__}, {processes} processes of one "
        "thread",
        "development": [_tried(one, found) for one in found.tried],
        "reported": [_profile(one) for one in found.reported],
        "elsewhere": [_profile(one) for one in found.elsewhere],
        "best": found.best.made.digest,
        "served": [_served(one) for one in found.served],
        "refused": [{"what": what, "error": error} for what, error in found.refused],
    }


def _served(one: Served) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "evidence"}


def _tried(one: Measured, found: Found) -> dict[str, Any]:
    scores = Scores.of(one.evidence)
    return {
        **_settings(one.candidate),
        **{name: round(value, 4) for name, value in asdict(scores).items() if name != "form"},
        "form": scores.form,
        "loss": round(scores.loss, 4),
        "seconds": one.made.seconds,
        "chosen": one.candidate in found.chosen,
    }


def _profile(one: Measured) -> dict[str, Any]:
    [suite] = one.evidence.suites
    cost = {"seconds": one.made.seconds, "rank": one.made.rank, "bytes": one.made.bytes}
    return {**_settings(one.candidate), "digest": one.made.digest, "suite": suite.name, **cost}


def _settings(candidate: Candidate) -> dict[str, Any]:
    return {"method": candidate.method, "settings": candidate.said}
