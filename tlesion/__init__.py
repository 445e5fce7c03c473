"""Lesion studies for transformers: find neurons with statistics, cut them out, and say whether it matters.

The public names are listed in ``__init__.pyi``. Each is imported when it is first used, so that
``import tlesion`` alone loads neither torch nor transformer_lens.
"""

from importlib.metadata import version as _version

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__version__ = _version("tlesion")
