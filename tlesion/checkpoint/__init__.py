"""Long runs survive: finished parts are kept as they come, and a run that was cut off continues where it was."""

from tlesion.checkpoint.folder import NOTHING_KEPT, Checkpoint, Folder, open_checkpoint

__all__ = ["NOTHING_KEPT", "Checkpoint", "Folder", "open_checkpoint"]
