"""Class consistency: how often a translated source image keeps its class; it needs no target labels."""

from __future__ import annotations

from cycada.core.types import IGNORE
from cycada.data import ImageDataset, ResizedDataset, resize_logits, to_float
from cycada.data.scenes import evenly_spaced
from cycada.evaluation.predict import predictions
from cycada.methods import Classify, Translate
from cycada.train.device import Device, Precision

IMAGES = 1000
"""The number of source test images that are translated for it."""
SCENES = 20
"""The same number in segmentation, where the images are spread evenly over the test set."""


def class_consistency(
    classify: Classify,
    translate: Translate,
    source: ImageDataset | ResizedDataset,
    by_label: bool,
    device: Device,
    precision: Precision,
) -> float:
    """Return the share of source images, or of their pixels, that keep their class in translation.

    To be called inside `eval_mode`.

    Args:
        classify: Images (N, C, H, W) -> logits.
        translate: The stage's own translation, see `translation_of`.
        source: Source test images.
        by_label: Compare the prediction on the translation with the label, where there is one; otherwise with
            the prediction on the untranslated image, as the semantic loss does (Hoffman et al. 2018, eq. 4).
        device: Where to compute.
        precision: Precision of the forward passes.

    Returns:
        A share in [0, 1]. For segmentation, pixels are counted at the mask's size, without those that a mask
        says IGNORE for.
    """
    by_label = by_label and (
        source.labelled if isinstance(source, ResizedDataset) else source.labels is not None
    )
    if isinstance(source, ResizedDataset):
        return _of_pixels(classify, translate, source, by_label, device, precision)
    images = source.images[:IMAGES]
    after = predictions(lambda x: classify(translate(x)), images, device, precision)
    before = (
        source.labels[:IMAGES].cpu()
        if by_label and source.labels is not None
        else predictions(classify, images, device, precision)
    )
    return float((after == before).float().mean())


def _of_pixels(
    classify: Classify,
    translate: Translate,
    source: ResizedDataset,
    by_label: bool,
    device: Device,
    precision: Precision,
) -> float:
    """Return the share of pixels, image by image; every process computes all of it."""
    same = pixels = 0
    for i in evenly_spaced(len(source), SCENES):
        image, mask = source.read(i)
        x = to_float(image[None].to(device.torch_device))
        with device.autocast(precision):
            after = classify(translate(x)).float()
            before = (
                mask.to(device.torch_device) if by_label and mask is not None else classify(x).argmax(1)[0]
            )
        labelled = before != IGNORE
        predicted = resize_logits(after, before.shape).argmax(1)[0]
        same += int(((predicted == before) & labelled).sum())
        pixels += int(labelled.sum())
    return same / max(pixels, 1)
