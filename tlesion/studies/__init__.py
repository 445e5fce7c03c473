"""One room per question: the study, its result, what it says in words, its figures and its page.

A room's ``__init__.py`` says what stands where, and registers the study under the name of its command
(:mod:`tlesion.studies.common.registry`). ``common`` is below all other rooms, ``evidence`` above them.
"""
