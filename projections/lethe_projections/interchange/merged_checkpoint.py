"""A profile on `down_proj` as a Hugging Face checkpoint of its own: weights, tokenizer, settings.

Any program that serves the base model serves this one. It is a whole model in the base's data
type, whose rounding the edit then shares; knows nothing of engines.
"""

import json
from pathlib import Path

from lethe_projections import base_model, merge, transformers_model
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError
from lethe_projections.interchange import new_folder, origin
from lethe_projections.profile import Profile

ORIGIN = "lethe.json"
"""The file that says which profile is merged in."""


def write(profile: Profile, checkpoint: str | Path, folder: str | Path) -> None:
    """Writes the edited checkpoint, atomically, in the data type of the original.

    Args:
        profile: made for this checkpoint; what `merge.merge_` takes.
        checkpoint: a folder, or a Hugging Face id that was downloaded before.
        folder: must not exist yet, or be empty.

    Raises:
        IncompatibleError: the profile is another model's, or no weight can hold it.
        CheckpointError: the checkpoint cannot be read.
        InterchangeError: the folder is taken.
        OSError: it cannot be written.
    """
    new_folder.check_free(Path(folder))
    base_model.check(profile.base, BaseModel.from_checkpoint(checkpoint))
    for projector in profile.projectors:
        merge.check_plain(projector)
    _check_floating_point(checkpoint)
    model, tokenizer = transformers_model.load(checkpoint)
    merge.merge_(model, profile)
    with new_folder.created(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        (temporary / ORIGIN).write_text(json.dumps(origin.of(profile), indent=2) + "\n")


def _check_floating_point(checkpoint: str | Path) -> None:
    method = transformers_model.quantisation(checkpoint)
    if method is not None:
        raise IncompatibleError(
            f"{checkpoint}: expected weights in floating point, which an edit can be added to, "
            f"found {method}; merge a profile of the checkpoint that it was quantised from"
        )
