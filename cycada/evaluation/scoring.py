"""Evaluation of a stage's networks: their scores, label-free criteria and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.core.profile import span
from cycada.data import ImageSet, Split
from cycada.data.image_set import evenly_spaced
from cycada.evaluation.class_consistency import class_consistency
from cycada.evaluation.image_grids import draw_confusion, draw_predicted_masks, image_grid
from cycada.evaluation.predict import eval_mode
from cycada.evaluation.scores import Scores, as_scores, computed, flatten_scores
from cycada.evaluation.target_statistics import copy_with_statistics, estimate_statistics
from cycada.evaluation.tasks import EVALUATIONS
from cycada.evaluation.test_time_augmentation import tta
from cycada.evaluation.translation_warnings import translation_warnings
from cycada.methods import Classify, Networks, classify_by
from cycada.methods.batch_statistics import batch_norms
from cycada.methods.cycada import translation_of
from cycada.metrics import criteria as all_criteria
from cycada.metrics import scores as score_functions
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan
from cycada.train.device import Device, Precision
from cycada.train.meter import Diverged

TRANSLATED = 100
"""Largest number of images that are translated for `agreement` where the criteria are of a sample.

A generator takes several times as long for an image as a classifier."""


@dataclass(frozen=True)
class Evaluation:
    """Scores and predictions of a stage's networks.

    Attributes:
        scores: The scores of each domain.
        predictions: The predicted class (N,) of each domain's test images; for segmentation each image's
            confusion matrix, (N, K, K) int32.
        counts: The confusion matrix (K, K) of each domain.
        criteria: Label-free criteria: they use no target labels; higher is better.
        translations: Diagnostics of the translations in the image grid, and which warnings they raise.
        undefined: Names of criteria that are left out, as they are no finite number for these images.
    """

    scores: Scores
    predictions: dict[str, Tensor]
    counts: dict[str, Tensor]
    criteria: dict[str, float]
    translations: dict[str, float] = field(default_factory=dict)
    undefined: Sequence[str] = ()

    def flat(self) -> dict[str, float]:
        """Return all numbers by name, for metrics.jsonl and a tracker."""
        return (
            flatten_scores(self.scores)
            | {f"selection/{name}": value for name, value in self.criteria.items()}
            | self.translations
        )


@span("evaluation")
def evaluate_stage(
    plan: StagePlan,
    nets: Networks,
    datasets: Datasets,
    device: Device,
    images: Path | None,
    step: int,
    at_most: int | None = None,
    sample: int | None = None,
) -> Evaluation:
    """Score both test sets, and compute the label-free criteria on unlabelled target training images.

    Every process has to take part.

    Args:
        plan: The plan of the stage.
        nets: The stage's networks.
        datasets: Both domains' images.
        device: Where to compute.
        images: The folder for the pictures of this step, or None for no pictures. Confusion matrices, which
            take the longest to draw, are drawn after the last step alone.
        step: The number of the step, for the names of the pictures.
        at_most: The largest number of test images of each domain that are scored, spread evenly over its test
            set; None for all of them.
        sample: The largest number of images that each label-free criterion is of, `TRANSLATED` for
            `agreement`. It has to be the same at every step, so that steps are compared on the same images.
            None takes as many as there are, and of target training images as many as the task does.

    Raises:
        Diverged: The logits on target images are not finite.
    """
    device.average_buffers(nets)
    classifiers = build_classifiers(plan, nets)
    on_target = with_target_statistics(plan, nets, datasets.target["train"], device)
    if on_target is not nets:
        classifiers["target"] = build_classifiers(plan, on_target)["target"]
    predicted: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    criteria: dict[str, float] = {}
    undefined: list[str] = []
    source_test = datasets.source.get("test")
    with eval_mode(nets):
        for side, dataset in (("source", source_test), ("target", datasets.target["test"])):
            if side not in classifiers or dataset is None:
                continue
            rows = None if at_most is None else evenly_spaced(len(dataset), at_most)
            counted = count_predictions(
                classifiers[side], dataset, len(datasets.classes), device, plan.stage.precision, rows
            )
            if counted is not None:
                predicted[side], counts[side] = counted
        if "target" in classifiers:
            probability = EVALUATIONS[datasets.task].sample_probabilities(
                classifiers["target"], datasets.target["train"], device, plan.stage.precision, sample
            )
            if not probability.isfinite().all():  # the argmax of NaN would still be a class
                raise Diverged(
                    f"Step {step}: the classifier of the target gives numbers that are not finite, so there "
                    "is nothing to score. Lower the learning rate, or use precision: fp32."
                )
            criteria = {
                name: float(computed("criterion", name, criterion, probability))
                for name, criterion in all_criteria.items()
            }
            undefined = [name for name, value in criteria.items() if not math.isfinite(value)]
            criteria = {name: value for name, value in criteria.items() if name not in undefined}
        if "source" in counts:
            some = None if at_most is not None else sample
            sampled = _of_sample(predicted["source"], counts["source"], datasets, some)
            criteria["source_accuracy"] = float(score_functions["accuracy"](sampled))
        role = "f_t" if "f_t" in nets else "f_s"
        if "g_st" in nets and role in nets and source_test is not None:
            criteria["agreement"] = class_consistency(
                with_test_time_augmentation(classify_by(getattr(on_target, role)), plan, nets),
                translation_of(plan.options, nets.g_st),
                source_test,
                role == "f_t",
                device,
                plan.stage.precision,
                None if sample is None else min(sample, TRANSLATED),
            )
        if images and step == plan.stage.steps:
            for side, confusion in counts.items():
                title, file = f"{side}, stage {plan.name}, step {step}", images / f"confusion_{side}.png"
                draw_confusion(confusion, datasets.classes, title, file)
        if images and "target" in classifiers:
            _draw_predictions(plan, classifiers["target"], datasets, device, images, step)
    return Evaluation(
        {side: as_scores(confusion, datasets.task) for side, confusion in counts.items()},
        predicted,
        counts,
        {name: round(value, 6) for name, value in criteria.items()},
        _draw_translations(plan, nets, datasets, device, images, step) if images else {},
        undefined,
    )


def _of_sample(predicted: Tensor, count: Tensor, datasets: Datasets, sample: int | None) -> Tensor:
    """Return the confusion matrix of a sample of the source test images, all of which are counted.

    Args:
        predicted: Their predictions, as `count_predictions` returned them.
        count: The confusion matrix of all of them.
        datasets: Both domains' images.
        sample: The largest number of images of the sample; None returns `count`.
    """
    if sample is None:
        return count
    test = datasets.source["test"]
    rows = evenly_spaced(len(test), sample)
    return EVALUATIONS[datasets.task].count_some(predicted, test, len(datasets.classes), rows)


def _draw_predictions(
    plan: StagePlan, classify: Classify, datasets: Datasets, device: Device, images: Path, step: int
) -> None:
    """Draw predictions on target test images where the task has such a picture, to be called in `eval_mode`.

    They stand beside the true masks.
    """
    test, file = datasets.target["test"], images / f"answers_{step:07d}.png"
    if EVALUATIONS[datasets.task].draws_predictions and test.labelled:
        draw_predicted_masks(classify, test, datasets.palette, device, plan.stage.precision, file)


def _draw_translations(
    plan: StagePlan, nets: Networks, datasets: Datasets, device: Device, images: Path, step: int
) -> dict[str, float]:
    """Draw the image grid of a stage, and return what `Evaluation.translations` holds."""
    shown = EVALUATIONS[datasets.task].shown
    shown_source = datasets.test_images["source"]
    source, target = shown_source.sample(shown), datasets.target["train"].sample(shown)
    pairs = _pairs(plan, datasets, shown)
    drawn = image_grid(plan, nets, source, target, device, images / f"grid_{step:07d}.png", pairs)
    return translation_warnings(plan, drawn, shown_source, datasets, shown)


def _pairs(plan: StagePlan, datasets: Datasets, count: int) -> Tensor | None:
    """Return the true translations (n, C, H, W) uint8 of a grid's source images, if the grid shows them."""
    split: Split = "test" if "test" in datasets.source else "train"
    source, target = datasets.source[split], datasets.target[split]
    if "pair_t" not in plan.method.tensors.dependencies(plan.method.preview):
        return None
    true_translation = source.true_translation(target)
    return None if true_translation is None else true_translation.sample(count)


def build_classifiers(plan: StagePlan, nets: Networks) -> dict[str, Classify]:
    """Return the method's classifier of each domain, with the test-time augmentation of the config."""
    return {
        side: with_test_time_augmentation(net, plan, nets)
        for side, net in plan.method.classifiers(nets).items()
    }


def with_target_statistics(plan: StagePlan, nets: Networks, images: ImageSet, device: Device) -> Networks:
    """Return the networks by which the target is scored: a copy if it has batch-norm statistics of its own.

    Args:
        plan: The plan of the stage.
        nets: The stage's networks, which stay as they are.
        images: The target's training images, whose labels are not looked at.
        device: Where the networks are.

    Returns:
        `nets` itself with `evaluation.batch_norm: stored`, or where there is no batch norm.
    """
    if plan.evaluation.batch_norm == "stored" or not batch_norms(nets):
        return nets
    if "target" not in plan.method.classifiers(nets):
        return nets
    on_target = copy_with_statistics(nets)
    classify = build_classifiers(plan, on_target)["target"]
    estimate_statistics(on_target, classify, images, device, plan.stage.precision)
    return on_target


def with_test_time_augmentation(classify: Classify, plan: StagePlan, nets: Networks) -> Classify:
    """Wrap a classifier in the test-time augmentation of the stage's config."""
    multiple = math.lcm(*(int(getattr(module, "multiple_of", 1)) for module in nets.modules()))
    return tta(classify, **plan.evaluation.augmentation(), multiple_of=multiple)


def count_predictions(
    classify: Classify,
    dataset: ImageSet,
    classes: int,
    device: Device,
    precision: Precision,
    rows: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor] | None:
    """Count predictions against labels. To be called inside `eval_mode`.

    Args:
        classify: Images (N, C, H, W) -> logits.
        dataset: The images of a domain.
        classes: K, the number of classes.
        device: Where to compute.
        precision: Precision of the forward passes.
        rows: Indices of the images that are counted; None for all of them.

    Returns:
        The predicted class (N,) of every image, or for segmentation each image's confusion matrix (N, K, K),
        and the confusion matrix (K, K) of all; None without labels.

    Raises:
        CycadaError: The logits are of another number of classes; predictions of further ones would not count.
    """
    if not dataset.labelled:
        return None

    def classify_checked(images: Tensor) -> Tensor:
        logits = classify(images)
        if logits.shape[1] != classes:
            raise CycadaError(
                f"networks.f: the network predicts {logits.shape[1]} classes, and the data have {classes}. A "
                "network of a plug-in gets their number as `classes`."
            )
        return logits

    return EVALUATIONS[dataset.task].count(classify_checked, dataset, classes, device, precision, rows)
