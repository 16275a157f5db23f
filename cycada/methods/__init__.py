"""Methods: a Views class and a list of phases each. A file dropped in here registers itself."""

from cycada.methods.recipe import Classify, Direction, Method, PhasePlan, Translate, classify_by, methods, roles_in
from cycada.methods.views import TEACHER, Networks, Options, Views
from cycada.registry import import_folder

import_folder(__name__, list(__path__))

__all__ = [
    "TEACHER", "Classify", "Direction", "Method", "Networks", "Options", "PhasePlan", "Translate", "Views", "classify_by", "methods",
    "roles_in",
]  # fmt: skip
