"""Methods: a Views class and a list of phases each. A file dropped in here registers itself."""

from cycada.core.registry import import_folder
from cycada.methods.base import Classify, Direction, Method, PhasePlan, Translate, classify_by, methods, roles_in
from cycada.methods.step_tensors import TEACHER, Networks, Options, Views

import_folder(__name__, list(__path__))

__all__ = [
    "TEACHER", "Classify", "Direction", "Method", "Networks", "Options", "PhasePlan", "Translate", "Views", "classify_by", "methods",
    "roles_in",
]  # fmt: skip
