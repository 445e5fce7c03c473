"""What a selection shows: where in a sentence, how stable, with how much power."""
