"""The sweep: many lesions over many prompts, exactly, and far cheaper than one forward pass each.

The way of a sweep:

1. ``sweep.py`` (or a study) encodes prompts as *readings*: tokens, where logits are read, whose (``groups.py``).
2. ``lesions.py`` checks the lesions: where each begins in depth and along the text, and which change nothing.
3. ``engine.py`` puts readings of one length into groups, as many as the budget of ``memory.py`` allows.
4. ``plans/choosing.py`` picks for every lesion the cheapest plan that is exact: ``loop``, ``fanout`` or ``prefix``.
5. The engine cuts lesions × groups into portions, and runs each by its plan (``plans/<plan>.py``); a portion that a
   checkpoint holds is not run again. ``identity.py`` says by what a checkpoint knows readings and lesions.
6. Plans hand hidden states and logits to the *store* (``store.py``), which asks the study's *sink* (``sinks.py``) for
   the few numbers that are kept, and puts them in their place.

``plans/loop.py`` is the reference: one plain ``run_with_hooks`` for each lesion. Every other plan has to equal it.
"""
