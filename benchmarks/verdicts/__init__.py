"""How often is each word of a verdict right? Simulated studies of known truth: ``python -m benchmarks.verdicts``."""
