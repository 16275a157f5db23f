"""Class consistency: how often a translated source image keeps its class; it needs no target labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cycada.core.types import ignore_index
from cycada.data import ImageSet, resize_logits, to_float
from cycada.data.image_set import Task
from cycada.evaluation.predict import BATCH
from cycada.methods import Classify, Translate
from cycada.train.device import Device, Precision

IMAGES = 1000
"""The number of source test images that are translated for it."""
SEGMENTATION_IMAGES = 20
"""The same number in segmentation, where the images are spread evenly over the test set."""
# By task, since one image with a mask counts as many pixels and takes as much memory as hundreds of digits.
SAMPLED: Mapping[Task, tuple[int, int]] = {
    "classification": (IMAGES, BATCH),
    "segmentation": (SEGMENTATION_IMAGES, 1),
}
"""The number of images that are translated, and the number in a batch."""


def class_consistency(
    classify: Classify,
    translate: Translate,
    source: ImageSet,
    by_label: bool,
    device: Device,
    precision: Precision,
    at_most: int | None = None,
) -> float:
    """Return the share of source images, or of their pixels, that keep their class in translation.

    To be called inside `eval_mode`. Every process computes all of it.

    Args:
        classify: Images (N, C, H, W) -> logits.
        translate: The stage's own translation, see `translation_of`.
        source: Source test images.
        by_label: Compare the prediction on the translation with the label, where there is one; otherwise with
            the prediction on the untranslated image, as the semantic loss does (Hoffman et al. 2018, eq. 4).
        device: Where to compute.
        precision: Precision of the forward passes.
        at_most: The largest number of source images, where it should be smaller.

    Returns:
        A share in [0, 1]. For segmentation, pixels are counted at the mask's size, without those that a mask
        says IGNORE for.
    """
    count, batch = SAMPLED[source.task]
    rows = source.sample_rows(min(count, at_most or count))
    same = counted = 0
    for start in range(0, len(rows), batch):
        pixels, labels = source.take(rows[start : start + batch])
        images = to_float(pixels.to(device.torch_device))
        with device.autocast(precision):
            after = classify(translate(images)).float()
            if not by_label or labels is None:
                before = classify(images).argmax(1)
            else:  # a batch of masks has one, as masks may differ in size
                before = labels if isinstance(labels, Tensor) else torch.stack(list(labels))
        before = before.to(device.torch_device)
        if after.ndim == 4:
            after = resize_logits(after, before.shape[1:])
        is_labelled = before != ignore_index(after.shape[1])
        same += int(((after.argmax(1) == before) & is_labelled).sum())
        counted += int(is_labelled.sum())
    return same / max(counted, 1)
