"""The networks that a style transfer may look with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torchvision
from torch import nn

from cycada.core.errors import CycadaError, nearest
from cycada.networks import classifiers, kind_of
from cycada.runs.reuse import find_run, load_stage
from cycada.storage.loading import trained_network


def vgg(name: str, weights: Path | None, pretrained: bool, layers: Sequence[str], size: int) -> nn.Module:
    """vgg16 or vgg19 with average pooling, as in the paper, down to the deepest of `layers`. size: the smallest side of a picture.

    Raises CycadaError, also where there are no weights.
    """
    if not weights and not pretrained:
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        raise CycadaError(
            f"The style is seen by {name}, whose weights are not at hand. Download {url} and give it as --weights FILE, or let "
            f"torchvision do so by --pretrained; or look with the task network of a finished stage, --run RUN."
        )
    deepest = max((layer.rpartition(".")[2] for layer in layers), key=lambda layer: layer[-3:])
    if not deepest.startswith("relu"):
        deepest = f"relu{deepest[-3:]}"
    options = {
        "layer": deepest,
        "pooling": "average",
        "weights": str(weights) if weights else None,
        "pretrained": pretrained,
    }
    return classifiers[f"{name}_features"](3, size, **options)


def of_run(run: str, role: str, results: Path) -> nn.Module:
    """A task network of a finished stage. Raises CycadaError."""
    folder = find_run(run, results)
    config, stage = load_stage(folder)
    tasks = [r for r in stage.specs if kind_of(r) == "f"]
    if role not in tasks:
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no task network '{role}'.{nearest(role, tasks)}"
        )
    if config.data.channels != 3:
        raise CycadaError(
            f"{folder.path}: its networks see grey images, and a style has colours. Take a run with data.channels: 3."
        )
    names = folder.arrays("analysis.npz").get("classes")
    if names is None:
        raise CycadaError(
            f"{folder.path}: it does not say how many classes there were. Run `cycada evaluate {folder.id}` first."
        )
    return trained_network(folder, config, stage, role, len(names))
