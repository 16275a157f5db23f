"""The worst predictions on a test set as pictures: the most confident mistakes, or the lowest IoU.

They show test labels and are made when a stage is finished, so that nothing can learn from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cycada.data import ImageSet, to_float
from cycada.data.segmentation import Palette
from cycada.evaluation.image_grids import draw_grid, mask_pictures, shrunk
from cycada.evaluation.predict import BATCH, probabilities
from cycada.methods import Classify
from cycada.metrics import scores
from cycada.train.device import Device, Precision

IMAGES, IMAGES_WITH_MASKS = 24, 12
"""The largest number of mistakes that are kept: of images with labels, and of images with masks."""
WIDEST = 256
"""The largest width of a kept image in pixels."""


@dataclass(frozen=True)
class Mistakes:
    """The worst predictions on a test set, the worst first.

    Attributes:
        arrays: What is known of the n images, as analysis.npz holds it: mistake_index (n,) int32, the places
            in the test set; mistake_name (n,), their names, where they are files; for image labels
            mistake_true and mistake_predicted (n,) int32, classes, and mistake_probability (n,) float32, that
            of the predicted class; for segmentation mistake_iou (n,) float32, see `find_lowest_iou`.
        columns: Title -> images (n, C, H, W) float in [-1, 1].
    """

    arrays: Mapping[str, np.ndarray]
    columns: Mapping[str, Tensor]

    def draw(self, path: Path) -> None:
        """Draw an image grid with a row for each mistake, as PNG."""
        draw_grid(list(self.columns.values()), tuple(self.columns), path)


def find_confident_mistakes(
    classify: Classify, predicted: Tensor, dataset: ImageSet, device: Device, precision: Precision
) -> Mistakes | None:
    """Return the wrongly classified images of whose wrong class the classifier is most certain.

    To be called inside `eval_mode`. One process is enough.

    Args:
        classify: Images (N, C, H, W) -> logits (N, K).
        predicted: (N,) the class of each image, as it was scored.
        dataset: The images, with labels.
        device: Where to compute.
        precision: Precision of the forward passes.

    Returns:
        At most `IMAGES` mistakes, or None where every image is classified correctly.
    """
    assert dataset.image_labels is not None  # only labelled sets are scored
    labels = dataset.image_labels.cpu()
    wrong = (predicted != labels).nonzero()[:, 0]
    if not len(wrong):
        return None
    certainty = torch.cat(
        [
            probabilities(classify, dataset.take(rows.tolist())[0], device, precision)
            .gather(1, predicted[rows, None])
            .squeeze(1)
            for rows in wrong.split(BATCH)
        ]
    )
    order = certainty.argsort(descending=True, stable=True)[:IMAGES]
    rows = wrong[order]
    images = to_float(dataset.take(rows.tolist())[0].cpu())
    arrays = _identified(dataset, rows.tolist(), dataset.image_paths) | {
        "mistake_true": labels[rows].numpy().astype(np.int32),
        "mistake_predicted": predicted[rows].numpy().astype(np.int32),
        "mistake_probability": certainty[order].numpy().astype(np.float32),
    }
    return Mistakes(arrays, {"image": shrunk(images, WIDEST)})


def find_lowest_iou(
    classify: Classify,
    counts: Tensor,
    dataset: ImageSet,
    palette: Palette,
    device: Device,
    precision: Precision,
) -> Mistakes | None:
    """Return the images of the lowest mean IoU over the classes in their own masks.

    To be called inside `eval_mode`. One process is enough.

    Args:
        classify: Images (N, C, H, W) -> logits (N, K, H, W).
        counts: (N, K, K) the confusion matrix of each image.
        dataset: The images, with masks.
        palette: A colour for each class.
        device: Where to compute.
        precision: Precision of the forward passes.

    Returns:
        At most `IMAGES_WITH_MASKS` images with their true and predicted masks; None where all are right.
    """
    iou = torch.stack([scores["miou"](count) for count in counts])  # NaN where a mask holds no class
    order = iou.argsort(stable=True)
    rows = order[iou[order] < 1][:IMAGES_WITH_MASKS]
    if not len(rows):
        return None
    image, predicted, truth, _ = mask_pictures(
        classify, dataset, rows.tolist(), palette, device, precision, widest=WIDEST
    )
    arrays = _identified(dataset, rows.tolist(), dataset.names)
    arrays["mistake_iou"] = iou[rows].numpy().astype(np.float32)
    return Mistakes(arrays, {"image": image, "truth": truth, "predicted": predicted})


def _identified(dataset: ImageSet, rows: Sequence[int], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the places of images in a test set, and their names without folders of this machine."""
    arrays = {"mistake_index": np.array(rows, np.int32)}
    if len(names) == len(dataset):
        arrays["mistake_name"] = np.array([Path(names[i]).name for i in rows])
    return arrays
