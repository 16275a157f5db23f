"""Confusion matrices, scores, label-free criteria and monitors.

A new file in this folder registers itself.
"""

from cycada.core.registry import import_folder
from cycada.metrics.confusion import confusion_matrix
from cycada.metrics.monitors import monitors
from cycada.metrics.scores import scores
from cycada.metrics.selection import criteria

import_folder(__name__, list(__path__))

__all__ = ["confusion_matrix", "criteria", "monitors", "scores"]
