"""The score that stands for a run, accuracy of images or mIoU of scenes, and the words that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cycada.evaluation.scoring import HEADLINES


@dataclass(frozen=True)
class Metric:
    """key: its name in scores.json, and after `target/` in metrics.jsonl. by_class: the name of its list of classes there.

    class_word: what a class's entry is called. The others are parts of sentences: what was tested, what has a class before and
    after a translation, and what features are of.
    """

    key: str
    by_class: str
    class_word: str
    tested: str
    question: str
    source: str
    target: str
    translated: str
    places: str
    featured: str

    @property
    def word(self) -> str:
        """As it is written: accuracy, mIoU."""
        return HEADLINES[self.key]

    @property
    def title(self) -> str:
        """The same at the beginning of a sentence."""
        return self.word if self.of_pixels else self.word.capitalize()

    @property
    def of_pixels(self) -> bool:
        return self.key == "miou"


METRICS = {
    "accuracy": Metric(
        key="accuracy",
        by_class="class_accuracy",
        class_word="accuracy",
        tested="Target test images",
        question="Does an image keep its class when it is translated?",
        source="source test images",
        target="target test images",
        translated="a translated source image",
        places="images",
        featured="test images",
    ),
    "miou": Metric(
        key="miou",
        by_class="class_iou",
        class_word="IoU",
        tested="Pixels of target test images",
        question="Do pixels keep their class when an image is translated?",
        source="the pixels of source test images",
        target="the pixels of target test images",
        translated="a pixel of a translated source image",
        places="places",
        featured="places in test images",
    ),
}


def metric_of(scores: Mapping[str, Any]) -> Metric | None:
    """What one domain's scores are headed by. None where nothing is scored."""
    return next((METRICS[key] for key in HEADLINES if key in scores), None)
