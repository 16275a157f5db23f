"""A warning about classes that the frozen source classifier rarely predicts on target images.

It comes before a translation is learnt with a semantic loss, which would keep such classes from being
translated well.
"""

from __future__ import annotations

from cycada.data.image_set import evenly_spaced
from cycada.evaluation.predict import eval_mode, predictions
from cycada.methods import Networks
from cycada.metrics.missing_classes import describe_classes, find_rarely_predicted
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan
from cycada.train.device import Device

IMAGES = 1000
"""The number of target training images that are classified, spread evenly."""


def warn_of_missing_classes(
    plan: StagePlan, nets: Networks, datasets: Datasets, device: Device
) -> str | None:
    """Return a warning about classes that f_s rarely predicts on target images, or None.

    It is for image-level labels only: the shares of classes among pixels differ between sets of images
    anyway. Source labels and unlabelled target training images are used. No state changes; every process
    has to take part.

    Args:
        plan: The plan of the stage.
        nets: The stage's networks.
        datasets: Both domains' images.
        device: Where to compute.
    """
    source, target = datasets.source["train"], datasets.target["train"]
    terms = [t.name for p in plan.phases for t in p.terms if t.name.startswith("semantic_")]
    if not terms or "f_s" not in plan.frozen or source.image_labels is None:
        return None
    classes = len(datasets.classes)
    with eval_mode(nets):
        predicted = predictions(
            lambda x: nets.f_s(x).logits,
            target,
            device,
            plan.stage.precision,
            rows=evenly_spaced(len(target), IMAGES),
        )
    missing = find_rarely_predicted(
        predicted.bincount(minlength=classes).tolist(),
        source.image_labels.cpu().long().bincount(minlength=classes).tolist(),
    )
    if not missing:
        return None
    keep = "keep" if len(terms) > 1 else "keeps"
    return (
        f"f_s rarely predicts {describe_classes(missing, datasets.classes)}. Either the target has few "
        f"images of these classes, or f_s does not recognise them there; then {' and '.join(terms)} {keep} "
        f"translations of these classes from looking like the target. The loss may still help on the whole: "
        f"compare with {terms[0]}=0. An f_s trained with `augment` may recognise more."
    )
