"""Experiment trackers; a new file in this folder registers its tracker."""

from cycada.core.registry import import_folder

import_folder(__name__, list(__path__))
