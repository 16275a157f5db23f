"""Loss terms: pure functions of named tensors. A file dropped in here registers itself."""

from cycada.losses.term import Loss, Ramp, Term, losses
from cycada.registry import import_folder

import_folder(__name__, list(__path__))

__all__ = ["Loss", "Ramp", "Term", "losses"]
