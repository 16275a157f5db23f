"""Semantic drift: how a translation changes the predicted class, and whether its cycle hides a signal."""

from __future__ import annotations

from collections import defaultdict
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from cycada.core.types import ignore_index
from cycada.evaluation.predict import forward_at
from cycada.evaluation.tasks import EVALUATIONS
from cycada.methods import Networks
from cycada.metrics import confusion_matrix
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan
from cycada.train.device import Device

DRIFT = 1000
"""The number of test images of each domain on which semantic drift is measured."""
NOISE = 0.05
"""Standard deviation of the steganography check's noise, in [-1, 1]: about 6 of 255 grey levels."""


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
    source, target = datasets.test_images.values()
    learnt = {role for phase in plan.phases for role in phase.roles}
    has_classifier = "f_s" in nets
    parts = EVALUATIONS[datasets.task].parts
    forward = forward_at(plan.stage.precision, device)
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
