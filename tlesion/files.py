"""Stimuli from files of your own: pairs for a contrast, and prompts, as CSV or JSON, one per row.

What a file says is read as it stands, or the file is refused with its line.
"""

from tlesion.stimuli.files import read_pairs, read_prompts

__all__ = ["read_pairs", "read_prompts"]
