"""How often a translated source image keeps its class: a criterion that needs no target label."""

from __future__ import annotations

from cycada.core.types import IGNORE
from cycada.data import ImageDataset, ResizedDataset, resize_logits, to_float
from cycada.data.scenes import evenly_spaced
from cycada.evaluation.predict import predictions
from cycada.methods import Classify, Translate
from cycada.train.device import Device, Precision

IMAGES = 1000
SCENES = 20
"""Source test images, or scenes evenly over all, that are translated for it."""


def class_consistency(
    classify: Classify,
    translate: Translate,
    source: ImageDataset | ResizedDataset,
    by_label: bool,
    device: Device,
    precision: Precision,
) -> float:
    """The share of source images, or of their pixels, whose translation is called what the image is.

    translate: as the stage itself does it, see `translation_of`.
    by_label: what it is says its label, where there is one; else the answer before translation does, as in the semantic loss
    (Hoffman et al. 2018, eq. 4). SegmentationDataset count at the mask's size, where a mask says IGNORE not at all. Inside `eval_mode`.
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
    scenes: ResizedDataset,
    by_label: bool,
    device: Device,
    precision: Precision,
) -> float:
    """One scene after the other, in every process alike."""
    same = pixels = 0
    for i in evenly_spaced(len(scenes), SCENES):
        image, mask = scenes.read(i)
        x = to_float(image[None].to(device.torch_device))
        with device.autocast(precision):
            after = classify(translate(x)).float()
            before = (
                mask.to(device.torch_device) if by_label and mask is not None else classify(x).argmax(1)[0]
            )
        known = before != IGNORE
        said = resize_logits(after, before.shape).argmax(1)[0]
        same += int(((said == before) & known).sum())
        pixels += int(known.sum())
    return same / max(pixels, 1)
