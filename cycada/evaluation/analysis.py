"""Analysis of a finished stage for reports: predictions, features and semantic drift.

The results are stored with the run, so that a report needs neither data nor networks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cycada.core.types import IGNORE, ignore_index
from cycada.data import ImageSet, resize_mask
from cycada.evaluation.mistakes import Mistakes
from cycada.evaluation.predict import eval_mode
from cycada.evaluation.scoring import Evaluation, build_classifiers, with_target_statistics
from cycada.evaluation.tasks import ANALYSED_IMAGES, EVALUATIONS
from cycada.methods import Networks
from cycada.methods.cycada import translation_of
from cycada.metrics import confusion_matrix
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan
from cycada.train.device import Device

FEATURES = 500
"""The number of test images of each domain whose features are kept; in segmentation, of pixels."""
DRIFT = 1000
"""The number of test images of each domain on which semantic drift is measured."""
NOISE = 0.05
"""Standard deviation of the steganography check's noise, in [-1, 1]: about 6 of 255 grey levels."""


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
    for side, dataset in _tested(datasets).items():
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


def _tested(datasets: Datasets) -> dict[str, ImageSet]:
    """Return both domains' test images; of a source without any, its training images."""
    return {
        "source": datasets.source.get("test", datasets.source["train"]),
        "target": datasets.target["test"],
    }


def parts(dataset: ImageSet, images: int, device: Device) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Return an iterator over batches of images with their labels, on the device.

    Args:
        dataset: The images of a domain.
        images: How many of the first images to read, `BATCH` at a time. For segmentation it has no effect:
            `ANALYSED_IMAGES` are read, one at a time.
        device: Where to put the tensors.

    Returns:
        Of each batch, images (N, C, H, W) float in [-1, 1], and labels (N,) or masks (1, H, W) at the image's
        size; None without labels.
    """
    return EVALUATIONS[dataset.task].parts(dataset, images, device)


def _forward(plan: StagePlan, device: Device) -> Callable[[Any, Tensor], Tensor]:
    """Return a function (network, images) -> the network's output in float32, at the stage's precision."""

    def forward(net: Any, images: Tensor) -> Tensor:
        with device.autocast(plan.stage.precision):
            output: Tensor = net(images)
        return output.float()

    return forward


def _features(plan: StagePlan, nets: Networks, datasets: Datasets, device: Device) -> dict[str, np.ndarray]:
    """Compute features of test images by the stage's classifier, f_t, or f_s where the stage has no f_t.

    For segmentation these are features of labelled pixels, at the same places of an image and of its
    translation.
    """
    classifier = nets.f_t if "f_t" in nets else nets.f_s if "f_s" in nets else None
    if classifier is None:
        return {}
    forward = _forward(plan, device)
    batches: dict[str, list[Tensor]] = defaultdict(list)
    for side, dataset in _tested(datasets).items():
        for number, (images, labels) in enumerate(parts(dataset, FEATURES, device)):
            tensors = {side: images}
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


class _Means:
    """Running means of values by name."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, name: str, values: Tensor) -> None:
        self._sums[name] += float(values.double().sum())
        self._counts[name] += values.numel()

    def compute(self) -> dict[str, float]:
        return {name: total / self._counts[name] for name, total in self._sums.items() if self._counts[name]}


def drift(
    plan: StagePlan, nets: Networks, datasets: Datasets, device: Device
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Measure how a stage's translation changes the classes that f_s predicts, and whether its cycle cheats.

    Semantic drift means that translation changes the predicted class. For segmentation everything is counted
    in pixels: all of them for flips, the labelled ones for accuracies.

    Args:
        plan: The plan of the stage.
        nets: The trained networks.
        datasets: Both domains' images; their test images are used.
        device: Where to compute.

    Returns:
        The flip counts and the scores. Flip counts are confusion matrices (K, K):

        - flip_t: class of source test images before (rows) and after (columns) translation by G_st;
        - flip_s: the same for target test images and G_ts.

        The scores are

        - flip_rate_t, flip_rate_s: the share of images, or pixels, off the diagonal;
        - translation_accuracy, reconstruction_accuracy: how often f_s predicts the source label for
          G_st(x_s), and for G_ts(G_st(x_s)). Where the second is far above the first, the cycle restores from
          a hidden signal what the translation lost;
        - cycle_l1: mean |G_ts(G_st(x_s)) - x_s|; cycle_l1_noisy: the same with Gaussian noise of standard
          deviation `NOISE` on the translated image. A cycle that hides its signal in small amplitudes breaks
          (Chu et al. 2017, "CycleGAN, a master of steganography");
        - noise_sensitivity: mean |G_ts(fake + n) - G_ts(fake)| / mean |n| (after Bashkirova et al. 2019,
          section 4.2);
        - translation_error_l1: mean |G_st(x_s) - x|, where x shows the same content with the target's look;
          untranslated_l1: mean |x_s - x|. Only where x is known (`SegmentationDataset.true_translation`).
    """
    source, target = _tested(datasets).values()
    learnt = {role for phase in plan.phases for role in phase.roles}
    has_classifier = "f_s" in nets
    forward = _forward(plan, device)
    flips: dict[str, Tensor] = {}
    means = _Means()

    def classify(x: Tensor) -> Tensor:
        return forward(lambda images: nets.f_s(images).logits, x).argmax(1)

    def count_flips(before: Tensor, after: Tensor, look: str) -> None:
        flips[f"flip_{look}"] = confusion_matrix(after, before, len(datasets.classes)) + flips.get(
            f"flip_{look}", 0
        )
        means.add(f"flip_rate_{look}", before != after)

    def count_correct(predicted: Tensor, labels: Tensor | None, name: str) -> None:
        if labels is not None:
            labelled = labels != ignore_index(len(datasets.classes))
            means.add(f"{name}_accuracy", (predicted == labels)[labelled])

    true_translation = source.true_translation(target)
    truths = (
        (image for image, _ in parts(true_translation, DRIFT, device)) if true_translation else repeat(None)
    )
    random = torch.Generator().manual_seed(0)
    for (images, labels), truth in zip(
        parts(source, DRIFT, device) if "g_st" in learnt else (), truths, strict=False
    ):
        fake = forward(nets.g_st, images)
        if has_classifier:
            after = classify(fake)
            count_flips(classify(images), after, "t")
            count_correct(after, labels, "translation")
        if truth is not None:
            means.add("translation_error_l1", (fake - truth).abs())
            means.add("untranslated_l1", (images - truth).abs())
        if "g_ts" in learnt:
            rebuilt = forward(nets.g_ts, fake)
            noise = NOISE * torch.randn(fake.shape, generator=random).to(fake.device)
            noisy = forward(nets.g_ts, fake + noise)
            means.add("cycle_l1", (rebuilt - images).abs())
            means.add("cycle_l1_noisy", (noisy - images).abs())
            means.add("noise", noise.abs())
            means.add("change", (noisy - rebuilt).abs())
            if has_classifier:
                count_correct(classify(rebuilt), labels, "reconstruction")
    for images, _ in parts(target, DRIFT, device) if "g_ts" in learnt and has_classifier else ():
        count_flips(classify(images), classify(forward(nets.g_ts, images)), "s")
    scores = means.compute()
    if "noise" in scores:
        scores["noise_sensitivity"] = scores.pop("change") / scores.pop("noise")
    return {name: count.cpu().numpy() for name, count in flips.items()}, scores
