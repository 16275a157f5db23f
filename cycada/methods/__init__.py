"""Methods, each a class of the tensors of one training step and a list of phases.

Every module of this package is imported, so that a file that is put here registers its methods.
"""

from cycada.core.registry import import_folder
from cycada.methods.base import (
    Classify,
    Direction,
    Method,
    PhaseSpec,
    Translate,
    classify_by,
    methods,
    roles_in,
)
from cycada.methods.dependencies import depends_on
from cycada.methods.roles import CLASS_SHARES, FEATURE_QUEUE, TEACHER, Networks
from cycada.methods.step_tensors import Options, StepTensors

import_folder(__name__, list(__path__))

__all__ = [
    "CLASS_SHARES",
    "FEATURE_QUEUE",
    "TEACHER",
    "Classify",
    "Direction",
    "Method",
    "Networks",
    "Options",
    "PhaseSpec",
    "StepTensors",
    "Translate",
    "classify_by",
    "depends_on",
    "methods",
    "roles_in",
]
