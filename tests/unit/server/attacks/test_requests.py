"""Requests one after the other: what came back, what is asked, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lethe_projections.errors import ArtifactError, LetheError, SuiteError
from lethe_server.attacks import document, requests, schedule
from lethe_server.attacks.document import Attack
from lethe_server.evaluating import command
from lethe_server.evaluating.answering import Answerer
from lethe_server.evaluating.in_process import InProcess
from lethe_server.evaluating.split import Split
from lethe_server.fitting import Checkpoint

from .conftest import Made

DESTROYS, NOTHING = 3.0, 0.0
