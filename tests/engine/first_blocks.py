"""The embedded model's first blocks, for what is compiled: that takes time by depth."""

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

DEPTH = 4


def save(checkpoint: str, folder: Path) -> str:
    """Writes a copy of the checkpoint with its first `DEPTH` blocks to a folder that is not there.

    Returns:
        The folder.
    """
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": DEPTH}))
    [weights] = folder.glob("*.safetensors")
    dropped = tuple(f"model.layers.{n}." for n in range(DEPTH, config["num_hidden_layers"]))
    kept = {
        name: tensor for name, tensor in load_file(weights).items() if not name.startswith(dropped)
    }
    save_file(kept, weights, {"format": "pt"})
    return str(folder)
