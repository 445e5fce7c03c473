"""Selecting and evaluating on different folds."""
