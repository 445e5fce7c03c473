"""The laminar profile: what a lesion costs, one layer at a time."""
