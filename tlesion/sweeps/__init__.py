"""The sweep: many lesions over many prompts, exactly, and far cheaper than one forward pass each."""
