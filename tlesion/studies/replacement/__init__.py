"""Replacing activations: keys of a head, noise in neurons, scaled hidden states."""
