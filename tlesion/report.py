"""Reports: a run's results as one page, its tables, and a folder that holds all of it.

:func:`laminar` makes a whole laminar study in one call. :class:`Report` takes results that were made one by one, and
:func:`page_of` gives the page alone. A page is put together in its study's room (``page.py``), from the parts in
:mod:`tlesion.paper`.
"""

from tlesion.studies.evidence.gather import laminar
from tlesion.studies.evidence.pages import Report, page_of

__all__ = ["Report", "laminar", "page_of"]
