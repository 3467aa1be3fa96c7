"""Where what is deployed lies."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
PROGRAMS = Path(sys.executable).parent
