"""Whether the effects of a profile are real."""
