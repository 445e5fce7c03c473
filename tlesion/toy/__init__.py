"""The shipped models, and models with planted neurons.

:func:`tlesion.toy.planted_model` builds another kind of toy: a model whose neurons' roles are known.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
