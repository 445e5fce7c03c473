"""The language and the trainer of the shipped models, and the measures of how well they know it."""
