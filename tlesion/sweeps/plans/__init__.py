"""The ways a sweep can be run: one file for each plan, the choice between them, and what fan-out and prefix share.

``loop``: one forward pass for each lesion. ``fanout`` (and ``batched``, its start from the embedding): lesioned rows
beside the clean ones, from the block on in which they begin. ``prefix``: in a causal model only the positions from the
first edited one on. The last two share ``dispatch`` (edits reach their own rows), ``joining`` (rows that begin inside a
block) and ``read_out`` (from finished rows to logits).
"""
