"""Removing directions of activations instead of neurons."""
