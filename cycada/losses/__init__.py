"""Losses, each a pure function of named tensors, and the terms of an objective that are built from them.

Every module of this package is imported, so that a file that is put here registers its losses.
"""

from cycada.core.registry import import_folder
from cycada.losses.term import Loss, Ramp, Term, losses

import_folder(__name__, list(__path__))

__all__ = ["Loss", "Ramp", "Term", "losses"]
