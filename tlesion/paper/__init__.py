"""Reports: a study's result as one self-contained HTML page.

A new study adds one module here, ``report/<study>.py``, with a function ``<study>_page(result, ...) -> Page`` that
puts `Section`s together in reading order: what was found first, in words computed from the numbers, then figures and
tables, last what was run (:func:`tlesion.paper.provenance.provenance_section`). Figures come from
:mod:`tlesion.plots`; nothing here imports plotly. ``page.write(path)`` writes the file.
"""

from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.table import Table

__all__ = ["Drawing", "Page", "Section", "Table"]
