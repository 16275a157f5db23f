"""Analysis of a finished stage for reports: predictions, features, and the numbers of `drift`.

The results are stored with the run, so that a report needs neither data nor networks.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from cycada.core.types import IGNORE
from cycada.data import resize_mask
from cycada.evaluation.drift import drift
from cycada.evaluation.mistakes import Mistakes
from cycada.evaluation.predict import eval_mode, forward_at
from cycada.evaluation.scoring import Evaluation, build_classifiers, with_target_statistics
from cycada.evaluation.tasks import ANALYSED_IMAGES, EVALUATIONS
from cycada.methods import Networks
from cycada.methods.cycada import translation_of
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan
from cycada.train.device import Device

FEATURES = 500
"""The number of test images of each domain whose features are kept; in segmentation, of pixels."""


def analyse(
    plan: StagePlan, nets: Networks, datasets: Datasets, evaluation: Evaluation, device: Device
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute what a report shows of a finished stage.

    One process is enough. Segmentation images are read one at a time.

    Args:
        plan: The plan of the stage.
        nets: The trained networks.
        datasets: Both domains' images.
        evaluation: The evaluation of the stage.
        device: Where to compute.

    Returns:
        The arrays for analysis.npz and the scores for drift.json. The arrays are

        - predicted_SIDE, label_SIDE (N,): class of every test image of a scored domain, in order;
        - counts_SIDE (N, K, K) int32: for segmentation, each image's confusion matrix in their place;
        - features_source, features_translated, features_target (n, D) float16, with feature_labels_SIDE (n,);
        - flip_t, flip_s (K, K): see `drift`;
        - classes: their names; palette (K, 3): for segmentation, their colours.
    """
    arrays: dict[str, np.ndarray] = {"classes": np.array(datasets.classes)}
    for side, dataset in datasets.test_images.items():
        if side not in evaluation.predictions:
            continue
        arrays |= EVALUATIONS[dataset.task].arrays(side, evaluation.predictions[side], dataset)
    if datasets.palette:
        arrays["palette"] = np.array(datasets.palette, np.uint8)
    with eval_mode(nets):
        arrays |= _features(plan, nets, datasets, device)
        flips, scores = drift(plan, nets, datasets, device)
    return arrays | flips, {name: round(value, 6) for name, value in scores.items()}


def find_mistakes(
    plan: StagePlan, nets: Networks, datasets: Datasets, evaluation: Evaluation, device: Device
) -> Mistakes | None:
    """Return the worst predictions of a finished stage on the target's test images.

    One process is enough. Test labels are used, so that nothing that trains or chooses may look at them.

    Args:
        plan: The plan of the stage.
        nets: The trained networks.
        datasets: Both domains' images.
        evaluation: The evaluation of the stage.
        device: Where to compute.

    Returns:
        The mistakes; None where the target is not scored or all of its images are right.
    """
    if "target" not in evaluation.predictions:
        return None
    test = datasets.target["test"]
    on_target = with_target_statistics(plan, nets, datasets.target["train"], device)
    with eval_mode(on_target):
        return EVALUATIONS[test.task].mistakes(
            build_classifiers(plan, on_target)["target"],
            evaluation.predictions["target"],
            test,
            datasets.palette,
            device,
            plan.stage.precision,
        )


def _features(plan: StagePlan, nets: Networks, datasets: Datasets, device: Device) -> dict[str, np.ndarray]:
    """Compute features of test images by the stage's classifier, f_t, or f_s where the stage has no f_t.

    For segmentation these are features of labelled pixels, at the same places of an image and of its
    translation.
    """
    classifier = nets.f_t if "f_t" in nets else nets.f_s if "f_s" in nets else None
    if classifier is None:
        return {}
    forward = forward_at(plan.stage.precision, device)
    batches: dict[str, list[Tensor]] = defaultdict(list)
    for side, dataset in datasets.test_images.items():
        for number, (images, labels) in enumerate(EVALUATIONS[dataset.task].parts(dataset, FEATURES, device)):
            tensors: dict[str, Tensor] = {side: images}
            if side == "source" and "g_st" in nets:
                tensors["translated"] = forward(translation_of(plan.options, nets.g_st), images)
            for name, tensor in tensors.items():
                features = forward(lambda x: classifier(x).features, tensor)
                feature_labels = labels
                if features.ndim == 4:
                    features, feature_labels = _at_places(
                        features[0], labels, number, FEATURES // min(ANALYSED_IMAGES, len(dataset))
                    )
                batches[f"features_{name}"].append(features.half().cpu())
                if name == side and feature_labels is not None:
                    batches[f"feature_labels_{side}"].append(feature_labels.cpu().to(torch.int16))
    return {name: torch.cat(tensors).numpy() for name, tensors in batches.items()}


def _at_places(
    features: Tensor, labels: Tensor | None, number: int, count: int
) -> tuple[Tensor, Tensor | None]:
    """Select at most `count` labelled places of a feature map, spread evenly.

    Args:
        features: (D, h, w).
        labels: (1, H, W), or None, in which case no place is left out.
        number: The number of the image; other images have other places.
        count: How many places to select.

    Returns:
        Features (n, D), and labels (n,) or None.
    """
    height, width = features.shape[1:]
    k = torch.arange(count, dtype=torch.float64)
    rows = ((k + 0.5) * height / count).long()
    # Multiples of the golden ratio, modulo 1, are spread evenly however many there are.
    columns = ((k + number * count) * ((5**0.5 - 1) / 2) % 1 * width).long()
    places = (rows * width + columns).unique().to(features.device)
    if labels is None:
        return features.flatten(1).T[places], None
    place_labels = resize_mask(labels[0].byte(), (height, width)).flatten()[places]
    labelled = place_labels != IGNORE
    return features.flatten(1).T[places[labelled]], place_labels[labelled]
