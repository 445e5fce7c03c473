"""The frame that all studies share."""
