"""Refuse a results folder within a folder of pictures, whose images would be read as data later."""

from __future__ import annotations

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.data import Domain
from cycada.planning.tasks import task_of


def check_results_place(config: Config) -> None:
    """Check that no picture which a run writes can become one that it reads.

    Raises:
        CycadaError: The results folder lies in a folder of which all pictures are read.
    """
    task, results = task_of(config), config.results.resolve()
    for side in ("source", "target"):
        domain = task.domain(getattr(config.data, side), side)
        if not isinstance(domain, Domain):
            continue
        for folder in domain.searched_folders(config.data.resolved_root()):
            if results.is_relative_to(folder.resolve()):
                raise CycadaError(
                    f"results: found '{config.results}' in {folder}, of which all pictures are read as data "
                    f"of the {side}, so that those of the results would be. Choose a folder outside of it."
                )
