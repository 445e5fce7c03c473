"""Studies: one room for each question, with its function, its result, its sentences, its figures and its page.

A room's ``__init__.py`` says what stands where, and registers the study under the name of its command
(:mod:`tlesion.studies.common.registry`). ``common`` is below all other rooms, ``evidence`` above them.
"""
