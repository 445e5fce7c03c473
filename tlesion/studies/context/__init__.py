"""Context modulation: a token in its text, alone, and with a space before it."""
