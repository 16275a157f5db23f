"""Scores and pictures of a stage's networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cycada.data import ImageDataset, ResizedDataset, Split
from cycada.data.scenes import evenly_spaced
from cycada.evaluation.class_consistency import class_consistency
from cycada.evaluation.image_grids import draw_answers, draw_confusion, image_grid
from cycada.evaluation.predict import count_pixels, eval_mode, max_batch, predictions, probabilities
from cycada.evaluation.test_time_augmentation import tta
from cycada.evaluation.translation_warnings import translation_warnings
from cycada.methods import Classify, Networks, classify_by
from cycada.methods.cycada import translation_of
from cycada.metrics import confusion_matrix
from cycada.metrics import criteria as all_criteria
from cycada.metrics import scores as score_functions
from cycada.planning.build import Datasets, some_images
from cycada.planning.plan import StagePlan
from cycada.storage.store import RunFolder
from cycada.train.device import Device, Precision
from cycada.train.meter import Diverged

SHOWN = 10
"""ImageDataset in an image grid."""
UNLABELLED = 1000
"""Target training images that the label-free criteria look at."""
UNLABELLED_SCENES = 20
"""Target training scenes, evenly over all, whose pixels stand for them there."""
SHOWN_SCENES = 6
CLASSIFICATION_SCORES = ("accuracy", "class_accuracy")
SCENE_SCORES = (
    "miou",
    "class_iou",
    "fwiou",
    "pixel_accuracy",
    "mean_class_accuracy",
    "class_accuracy",
    "classes_averaged",
)
HEADLINES = {"miou": "mIoU", "accuracy": "accuracy"}
"""The score that stands for a stage, and how it is written."""

Scores = dict[str, dict[str, Any]]
"""domain -> score -> a number, or a list with one entry per class (None where the class is absent)."""


@dataclass(frozen=True)
class Evaluation:
    """scores: by domain. predictions: of each domain's test images the (N,) classes; of scenes their own counts, (N, K, K) int32.
    counts: the (K, K) count of each. criteria: what is known without target labels, higher is better. translations: what the
    alarms look at and whether they ring, of the pictures in the image grid."""

    scores: Scores
    predictions: dict[str, Tensor]
    counts: dict[str, Tensor]
    criteria: dict[str, float]
    translations: dict[str, float] = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        """For metrics.jsonl and a tracker."""
        return (
            flatten_scores(self.scores)
            | {f"selection/{name}": value for name, value in self.criteria.items()}
            | self.translations
        )


def evaluate_stage(
    plan: StagePlan, nets: Networks, datasets: Datasets, device: Device, images: Path | None, step: int
) -> Evaluation:
    """Both test sets by the stage's networks, and the label-free criteria on unlabelled target training images.

    Where `images` is given, also the pictures of this step. Every process takes part.
    """
    for net in nets.children():
        device.average_buffers(net)
    ways = scored(plan, nets)
    said: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    criteria: dict[str, float] = {}
    translations: dict[str, float] = {}
    with eval_mode(nets):
        for side, examples in (("source", datasets.source.get("test")), ("target", datasets.target["test"])):
            if (
                side in ways
                and examples is not None
                and (
                    answers := count(
                        ways[side], examples, len(datasets.classes), device, plan.stage.precision
                    )
                )
            ):
                said[side], counts[side] = answers
        if "target" in ways:
            probable = _answers(ways["target"], datasets.target["train"], device, plan)
            if not probable.isfinite().all():  # the largest of answers that are no numbers would be a class
                raise Diverged(
                    f"Step {step}: what classifies the target answers with numbers that are not finite, so there is nothing to score. "
                    "Lower the learning rate, or use precision: fp32."
                )
            criteria = {name: float(criterion(probable)) for name, criterion in all_criteria.items()}
        if "source" in counts:
            criteria["source_accuracy"] = float(score_functions["accuracy"](counts["source"]))
        by = "f_t" if "f_t" in nets else "f_s"
        if "g_st" in nets and by in nets and (known := datasets.source.get("test")) is not None:
            classify = as_evaluated(classify_by(getattr(nets, by)), plan, nets)
            criteria["agreement"] = class_consistency(
                classify,
                translation_of(plan.options, nets.g_st),
                known,
                by == "f_t",
                device,
                plan.stage.precision,
            )
    criteria = {name: round(value, 6) for name, value in criteria.items()}
    if images:
        for side, counted in counts.items():
            draw_confusion(
                counted,
                datasets.classes,
                f"{side}, stage {plan.name}, step {step}",
                images / f"confusion_{side}.png",
            )
        scenes = datasets.target["test"]
        if isinstance(scenes, ResizedDataset) and scenes.labelled and "target" in ways:
            with eval_mode(nets):
                draw_answers(
                    ways["target"],
                    scenes,
                    datasets.palette,
                    device,
                    plan.stage.precision,
                    images / f"answers_{step:07d}.png",
                )
        shown = SHOWN_SCENES if isinstance(scenes, ResizedDataset) else SHOWN
        shown_source = datasets.source.get("test", datasets.source["train"])
        source, target = some_images(shown_source, shown), some_images(datasets.target["train"], shown)
        pairs = _pairs(plan, datasets, shown)
        drawn = image_grid(plan, nets, source, target, device, images / f"grid_{step:07d}.png", pairs)
        translations = translation_warnings(plan, drawn, shown_source, datasets, shown)
    of_scenes = isinstance(datasets.target["test"], ResizedDataset)
    return Evaluation(
        {side: as_scores(counted, of_scenes) for side, counted in counts.items()},
        said,
        counts,
        criteria,
        translations,
    )


def _pairs(plan: StagePlan, datasets: Datasets, count: int) -> Tensor | None:
    """(n, C, H, W) uint8: what the source images of a grid truly look like in the target domain, where the grid shows it."""
    split: Split = "test" if "test" in datasets.source else "train"
    source, target = datasets.source[split], datasets.target[split]
    if "pair_t" not in plan.method.tensors.dependencies(plan.method.preview) or not (
        isinstance(source, ResizedDataset) and isinstance(target, ResizedDataset)
    ):
        return None
    known = source.true_translation(target)
    return None if known is None else known.sample(count)


def scored(plan: StagePlan, nets: Networks) -> dict[str, Classify]:
    """How the method classifies each domain's images, with the windows, scales and mirror images that the config asks for."""
    return {side: as_evaluated(way, plan, nets) for side, way in plan.method.classifiers(nets).items()}


def as_evaluated(classify: Classify, plan: StagePlan, nets: Networks) -> Classify:
    """A network's answers with the windows, scales and mirror images that the stage's config asks for."""
    multiple = math.lcm(*(int(getattr(module, "multiple_of", 1)) for module in nets.modules()))
    return tta(classify, **plan.evaluation.model_dump(), multiple_of=multiple)


def count(
    classify: Classify,
    examples: ImageDataset | ResizedDataset,
    classes: int,
    device: Device,
    precision: Precision,
) -> tuple[Tensor, Tensor] | None:
    """(the class of every image, or of every scene its own count; the (K, K) count of all), or None without labels.

    Inside `eval_mode`.
    """
    if isinstance(examples, ResizedDataset):
        if not examples.labelled:
            return None
        by_scene = count_pixels(classify, examples, classes, device, precision)
        return by_scene, by_scene.sum(0)
    if examples.labels is None:
        return None
    said = predictions(classify, examples.images, device, precision)
    return said, confusion_matrix(said, examples.labels.cpu(), classes)


def _answers(
    classify: Classify, target: ImageDataset | ResizedDataset, device: Device, plan: StagePlan
) -> Tensor:
    """Class probabilities (N, K) of unlabelled target images, or of pixels evenly_spaced evenly over some scenes."""
    if not isinstance(target, ResizedDataset):
        return probabilities(classify, target.images[:UNLABELLED], device, plan.stage.precision)
    rows, (height, width) = evenly_spaced(len(target), UNLABELLED_SCENES), target.size
    scenes = len(rows)
    chosen = (
        torch.linspace(0, scenes * height * width - 1, UNLABELLED)
        .long()
        .clamp_max(scenes * height * width - 1)
    )
    found, batch = [], max_batch(target.size)
    for start in range(0, scenes, batch):  # the probabilities of twenty large scenes would take gigabytes
        images = torch.stack([target.read(i)[0] for i in rows[start : start + batch]])
        pixels = (
            probabilities(classify, images, device, plan.stage.precision).permute(0, 2, 3, 1).flatten(0, 2)
        )
        inside = chosen - start * height * width
        found.append(pixels[inside[(inside >= 0) & (inside < len(pixels))]])
    return torch.cat(found)


def as_scores(count: Tensor, scenes: bool = False) -> dict[str, Any]:
    """The scores of one (K, K) count of images, or of the pixels of scenes, as plain values."""
    found: dict[str, Any] = {}
    for name in SCENE_SCORES if scenes else CLASSIFICATION_SCORES:
        value = score_functions[name](count)
        found[name] = [_plain(v) for v in value.tolist()] if value.ndim else _plain(value.item())
    return found


def stored_scores(folder: RunFolder) -> Scores:
    """Those of a finished stage; of scenes scored again from its counts, for older versions took other classes' mean."""
    found: Scores = folder.read_json("scores.json")
    counts = folder.read_json("confusion.json") if (folder.path / "confusion.json").exists() else {}
    return {
        side: as_scores(torch.tensor(counts[side]), True) if "miou" in of and side in counts else of
        for side, of in found.items()
    }


def _plain(value: float) -> float | None:
    """JSON knows no NaN: None where there was nothing to score."""
    return None if math.isnan(value) else round(value, 6)


def headline(found: Mapping[str, Any]) -> tuple[str, float]:
    """What one number stands for a domain's scores: (how it is written, the value as a share)."""
    name = next(n for n in HEADLINES if n in found)
    return HEADLINES[name], float("nan") if found[name] is None else found[name]


def percent(found: Mapping[str, Any]) -> str:
    """The headline as a person reads it; `-` where there is nothing to score."""
    share = headline(found)[1]
    return "-" if math.isnan(share) else f"{100 * share:.2f} %"


def flatten_scores(scores: Scores) -> dict[str, float]:
    """`target/accuracy`, `target/class_accuracy/3`, ...: what a tracker and metrics.jsonl take."""
    flat: dict[str, float] = {}
    for side, found in scores.items():
        for name, value in found.items():
            if isinstance(value, (int, float)):
                flat[f"{side}/{name}"] = value
            elif value is not None:
                flat |= {f"{side}/{name}/{k}": v for k, v in enumerate(value) if v is not None}
    return flat
