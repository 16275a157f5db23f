"""A warning before a translation is learnt under a semantic loss: which classes its frozen classifier cannot see in the target."""

from __future__ import annotations

import torch

from cycada.data import ResizedDataset
from cycada.data.scenes import evenly_spaced
from cycada.evaluation.predict import eval_mode, predictions
from cycada.methods import Networks
from cycada.metrics.blind import in_words, rarely_predicted
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan
from cycada.train.device import Device

IMAGES = 1000
"""Target training images, evenly over all, that are looked at."""


def missing_classes(plan: StagePlan, nets: Networks, datasets: Datasets, device: Device) -> str | None:
    """A sentence, or None. Of images with one label each; the shares of pixels of two sets of scenes differ by themselves.

    Labels of the source and unlabelled target training images are looked at. Moves nothing; every process takes part.
    """
    source, target = datasets.source["train"], datasets.target["train"]
    terms = [t.name for p in plan.phases for t in p.terms if t.name.startswith("semantic_")]
    if (
        not terms
        or "f_s" not in plan.frozen
        or isinstance(source, ResizedDataset)
        or isinstance(target, ResizedDataset)
        or source.labels is None
    ):
        return None
    classes = len(datasets.classes)
    with eval_mode(nets):
        rows = torch.tensor(evenly_spaced(len(target), IMAGES))
        said = predictions(
            lambda x: nets.f_s(x).logits,
            target.images[rows.to(target.images.device)],
            device,
            plan.stage.precision,
        )
    found = rarely_predicted(
        said.bincount(minlength=classes).tolist(),
        source.labels.cpu().long().bincount(minlength=classes).tolist(),
    )
    if not found:
        return None
    return (
        f"f_s hardly ever answers {in_words(found, datasets.classes)}. Unless the target has so few, f_s does not know how they look "
        f"there, and {' and '.join(terms)} will keep their translations from looking so. It may be worth that: compare with "
        f"{terms[0]}=0. An f_s trained with `augment` may know more."
    )
