"""The networks whose feature maps a style transfer may use."""

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
    """Return a VGG with average pooling, as in the paper, up to the deepest of `layers`.

    Args:
        name: "vgg16" or "vgg19".
        weights: A file with torchvision's weights.
        pretrained: Let torchvision download the weights.
        layers: The layers that are needed, such as "relu4_2".
        size: The smallest side of the pictures.

    Raises:
        CycadaError: There are no weights, or they do not fit.
    """
    if not weights and not pretrained:
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        raise CycadaError(
            f"The style transfer needs the weights of {name}. Download {url} and give the file as --weights "
            "FILE, or let torchvision download it by --pretrained; or use the task network of a finished "
            "stage, --run RUN."
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
    """Return a task network of a finished stage.

    Args:
        run: The run folder of the stage, or its id.
        role: The role of the network, such as "f_t".
        results: The folder of all results.

    Raises:
        CycadaError: There is no such stage or role, or its networks take grey images.
    """
    folder = find_run(run, results)
    config, stage = load_stage(folder)
    tasks = [r for r in stage.specs if kind_of(r) == "f"]
    if role not in tasks:
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no task network "
            f"'{role}'.{nearest(role, tasks)}"
        )
    if config.data.channels != 3:
        raise CycadaError(
            f"{folder.path}: its networks see grey images, but a style has colours. Use a run with "
            "data.channels: 3."
        )
    names = folder.arrays("analysis.npz").get("classes")
    if names is None:
        raise CycadaError(
            f"{folder.path}: the number of its classes is not stored. Run `cycada evaluate {folder.id}` "
            "first."
        )
    return trained_network(folder, config, stage, role, len(names))
