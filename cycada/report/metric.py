"""The score that stands for a run, accuracy or mIoU, and the report's sentences that depend on the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cycada.evaluation.scores import HEADLINES


@dataclass(frozen=True)
class Wording:
    """The words of a report that depend on the task: one instance for image labels, one for masks.

    Attributes:
        item: What has one label, in the singular.
        source: What f_s classifies in the source test set, as a noun phrase.
        target: The same of the target test set.
        translated: One translated item of the source, with its article.
        confusions: What the confusion matrices count, without a final period.
        drift: How to read the matrices of label flips: the question, and what rows and columns are.
        features: How to read the t-SNE charts of features.
        domain_classifier: What the A-distance's classifier is tested on.
        distance_caution: A further sentence about the A-distance, or nothing.
    """

    item: str
    source: str
    target: str
    translated: str
    confusions: str
    drift: str
    features: str
    domain_classifier: str
    distance_caution: str = ""


IMAGE_LABELS = Wording(
    item="image",
    source="source test images",
    target="target test images",
    translated="a translated source image",
    confusions="Target test images",
    drift=(
        "Does an image keep its class when it is translated? A row is the class that the frozen source "
        "classifier f_s predicts before the translation, a column the class that it predicts after it; "
        "numbers are % of the row."
    ),
    features=(
        "Each point is the task network's feature vector of one test image, in two dimensions (t-SNE, one "
        "seed, at most 300 images of each domain). Where adaptation worked, target images lie among the "
        "images that the network was trained on, and the classes are apart."
    ),
    domain_classifier="the half of the images",
)
SEGMENTATION_MASKS = Wording(
    item="pixel",
    source="the pixels of source test images",
    target="the pixels of target test images",
    translated="a pixel of a translated source image",
    confusions="Pixels of target test images",
    drift=(
        "Do pixels keep their class when an image is translated? A row is the class that the frozen source "
        "segmenter f_s predicts before the translation, a column the class that it predicts for the same "
        "pixels after it; numbers are % of the row."
    ),
    features=(
        "Each point is the task network's feature vector at one position of a test image, in two dimensions "
        "(t-SNE, one seed, at most 300 positions of each domain). Where adaptation worked, target positions "
        "lie among the positions that the network was trained on, and the classes are apart."
    ),
    domain_classifier="the half of the image positions",
    distance_caution=(
        " Positions of one image may lie in both halves, which makes the domains look further apart."
    ),
)


@dataclass(frozen=True)
class Metric:
    """The score that a report is about.

    Attributes:
        key: Its name in scores.json, and after `target/` in metrics.jsonl.
        by_class: The name of its list of scores by class in scores.json.
        class_word: What the score of one class is called in text.
        title: Its name at the beginning of a sentence.
        over_classes: Whether it is a mean over classes: a table then says over which of them.
        wording: The sentences of a report on this task.
    """

    key: str
    by_class: str
    class_word: str
    title: str
    over_classes: bool
    wording: Wording

    @property
    def word(self) -> str:
        """The name of the score in text: accuracy or mIoU."""
        return HEADLINES[self.key]

    @property
    def of_pixels(self) -> bool:
        """Whether the labels are those of pixels."""
        return self.wording is SEGMENTATION_MASKS


# By the name of the score, not by task: a report reads run folders alone, whose scores say what was measured.
METRICS = {
    "accuracy": Metric("accuracy", "class_accuracy", "accuracy", "Accuracy", False, IMAGE_LABELS),
    "miou": Metric("miou", "class_iou", "IoU", "mIoU", True, SEGMENTATION_MASKS),
}


def metric_of(scores: Mapping[str, Any]) -> Metric | None:
    """Return the metric that heads the scores of one domain, or None where nothing is scored."""
    return next((METRICS[key] for key in HEADLINES if key in scores), None)
