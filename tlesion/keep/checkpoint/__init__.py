"""Finished parts of a long run, kept in a folder as they come: a run that was cut off continues where it was.

The folder that ``checkpoint=`` names holds

- ``checkpoint.json``: which run it is of (study, weights, versions, settings, a hash of every stimulus) and its state,
  ``"running"`` or ``"finished"``;
- ``parts/<name>.safetensors``: a file for every finished part, with a checksum over its numbers and over which run and
  part they are of.

Every file is written under another name and renamed, so that it is there whole or not at all, and none of them is ever
executed. A finished run leaves its parts: the same call makes the same result from them again. Once the result is
saved, the folder can be deleted.
"""

from tlesion.keep.checkpoint.folder import NOTHING_KEPT, Checkpoint, Folder, open_checkpoint

__all__ = ["NOTHING_KEPT", "Checkpoint", "Folder", "open_checkpoint"]
