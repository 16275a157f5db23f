"""Loss terms: pure functions of named tensors. A file dropped in here registers itself."""

from cycada.core.registry import import_folder
from cycada.losses.term import Loss, Ramp, Term, losses

import_folder(__name__, list(__path__))

__all__ = ["Loss", "Ramp", "Term", "losses"]
