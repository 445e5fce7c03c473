"""The ways a sweep can be run: one file for each plan, and the choice between them."""
