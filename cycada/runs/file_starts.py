"""Checks of the files of weights that the networks of a stage start from."""

from __future__ import annotations

from collections.abc import Sequence

from cycada.core.bounds import Home
from cycada.core.errors import list_some
from cycada.core.registry import typed
from cycada.networks import HEAD, kind_of
from cycada.storage.store import WEIGHTS, RunFolder


def check_file_start(start: str, role: str, classes: Sequence[str], where: str) -> list[str]:
    """Check the run that a file of weights belongs to, if it is one.

    Args:
        start: `PATH#ROLE`.
        role: The role that starts from it.
        classes: Names of the experiment's classes, in order.
        where: Path in the config for messages.

    Returns:
        A warning where the weights classify other classes, or the same ones in another order.

    Raises:
        CycadaError: The run is finished, and its files are not those that it wrote.
    """
    file = typed(start.partition("#")[0], Home, where)
    folder = RunFolder(file.parent)
    if file.name != WEIGHTS or not folder.done:
        return []
    theirs = tuple(map(str, folder.check().arrays("analysis.npz").get("classes", ())))
    if kind_of(role) not in ("f", HEAD) or not theirs or not classes or theirs == tuple(classes):
        return []
    return [
        f"{where}: the classes of {folder.path} are {list_some(theirs)}, and those of this experiment "
        f"{list_some(classes)}; the weights take each class for the one at its place."
    ]
