"""Accumulation: many layers lesioned at once."""
