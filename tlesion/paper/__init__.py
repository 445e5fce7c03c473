"""Reports: a study's result as one self-contained HTML page.

A page is put together in its study's room, ``studies/<study>/page.py``, by a function ``<study>_page(result, ...)``
that returns a `Page` of `Section`s in reading order: what was found first, in words computed from the numbers, then
figures and tables, last what was run (:func:`tlesion.paper.provenance.provenance_section`). Figures come from the
room's ``figures.py``; the registry of studies names the function. ``page.write(path)`` writes the file.
"""

from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.table import Table

__all__ = ["Drawing", "Page", "Section", "Table"]
