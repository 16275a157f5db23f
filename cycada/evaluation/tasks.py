"""What evaluation does for one label an image and for one label a pixel: one object for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from cycada.data import ImageSet, resize_mask, to_float
from cycada.data.image_set import Task
from cycada.data.segmentation import Palette
from cycada.evaluation.mistakes import Mistakes, find_confident_mistakes, find_lowest_iou
from cycada.evaluation.predict import BATCH, count_pixels, max_batch, predictions, probabilities
from cycada.methods import Classify
from cycada.metrics import confusion_matrix
from cycada.train.device import Device, Precision

UNLABELLED = 1000
"""The number of target training images, or of their pixels, that the label-free criteria use."""
ANALYSED_IMAGES = 50
"""The number of test images that are analysed in segmentation, spread evenly over a domain's test set."""


class TaskEvaluation(ABC):
    """Evaluation of one task.

    Attributes:
        scores: The scores of the task.
        shown: The number of images in an image grid.
        statistics_images: The number of target training images that batch-norm statistics are estimated on.
        unlabelled: The largest number of target training images that the label-free criteria are of.
        draws_predictions: Whether predictions are drawn, as pictures of masks.
    """

    scores: ClassVar[Sequence[str]]
    shown: ClassVar[int]
    statistics_images: ClassVar[int]
    unlabelled: ClassVar[int]
    draws_predictions: ClassVar[bool] = False

    def sample_size(self, images: int, at_most: int | None = None) -> int:
        """Return of how many of `images` target training images the label-free criteria are.

        Args:
            images: The number of images.
            at_most: The largest number of images in the sample, where it should be smaller.
        """
        return min(images, self.unlabelled, at_most or images)

    @abstractmethod
    def count(
        self,
        classify: Classify,
        dataset: ImageSet,
        classes: int,
        device: Device,
        precision: Precision,
        rows: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Count predictions against labels; see `cycada.evaluation.scoring.count_predictions`."""

    @abstractmethod
    def count_some(self, predicted: Tensor, dataset: ImageSet, classes: int, rows: Sequence[int]) -> Tensor:
        """Return the confusion matrix of some of the images that `count` has counted, all of a set.

        Args:
            predicted: The predictions of the set, as `count` returned them.
            dataset: The images of a domain.
            classes: K, the number of classes.
            rows: Indices of the images.
        """

    @abstractmethod
    def sample_probabilities(
        self,
        classify: Classify,
        images: ImageSet,
        device: Device,
        precision: Precision,
        at_most: int | None = None,
    ) -> Tensor:
        """Return class probabilities (N, K) of a sample of images, or of their pixels.

        Args:
            classify: Images (N, C, H, W) -> logits.
            images: The images to take a sample of.
            device: Where to compute.
            precision: Precision of the forward passes.
            at_most: The largest number of images in the sample, where it should be smaller.
        """

    @abstractmethod
    def batch_size(self, dataset: ImageSet, small: int) -> int:
        """Return how many images make a batch.

        Args:
            dataset: The images.
            small: The number for images with labels, which are small.
        """

    @abstractmethod
    def parts(self, dataset: ImageSet, images: int, device: Device) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield batches of images with their labels, on the device.

        Args:
            dataset: The images of a domain.
            images: How many images to read, `BATCH` at a time. For segmentation it has no effect:
                `ANALYSED_IMAGES` are read, one at a time.
            device: Where to put the tensors.

        Yields:
            Images (N, C, H, W) float in [-1, 1], and labels (N,) or masks (1, H, W) at the image's size; None
            without labels.
        """

    @abstractmethod
    def arrays(self, side: str, predicted: Tensor, dataset: ImageSet) -> dict[str, np.ndarray]:
        """Return the predictions of a domain as they are stored in analysis.npz, by name."""

    @abstractmethod
    def mistakes(
        self,
        classify: Classify,
        predicted: Tensor,
        dataset: ImageSet,
        palette: Palette,
        device: Device,
        precision: Precision,
    ) -> Mistakes | None:
        """Return the worst predictions on a labelled test set; None where there is no mistake.

        To be called inside `eval_mode`.

        Args:
            classify: Images (N, C, H, W) -> logits.
            predicted: The predictions of the set, as `count` returned them.
            dataset: The images of a domain.
            palette: A colour for each class, for masks.
            device: Where to compute.
            precision: Precision of the forward passes.
        """


class ClassificationEvaluation(TaskEvaluation):
    """Evaluation of images with one label each."""

    scores = ("accuracy", "class_accuracy")
    shown = 10
    statistics_images = 2000
    unlabelled = UNLABELLED

    @override
    def count(
        self,
        classify: Classify,
        dataset: ImageSet,
        classes: int,
        device: Device,
        precision: Precision,
        rows: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        predicted = predictions(classify, dataset, device, precision, rows=rows)
        assert dataset.image_labels is not None  # only labelled sets are counted
        labels = dataset.image_labels.cpu()
        return predicted, confusion_matrix(predicted, labels if rows is None else labels[list(rows)], classes)

    @override
    def count_some(self, predicted: Tensor, dataset: ImageSet, classes: int, rows: Sequence[int]) -> Tensor:
        assert dataset.image_labels is not None  # only labelled sets are counted
        return confusion_matrix(predicted[list(rows)], dataset.image_labels.cpu()[list(rows)], classes)

    @override
    def sample_probabilities(
        self,
        classify: Classify,
        images: ImageSet,
        device: Device,
        precision: Precision,
        at_most: int | None = None,
    ) -> Tensor:
        sample = images.sample(self.sample_size(len(images), at_most))
        return probabilities(classify, sample, device, precision)

    @override
    def batch_size(self, dataset: ImageSet, small: int) -> int:
        return small

    @override
    def parts(self, dataset: ImageSet, images: int, device: Device) -> Iterator[tuple[Tensor, Tensor | None]]:
        rows = dataset.sample_rows(images)
        for start in range(0, len(rows), BATCH):
            pixels, labels = dataset.take(rows[start : start + BATCH])
            assert labels is None or isinstance(labels, Tensor)
            yield (
                to_float(pixels.to(device.torch_device)),
                None if labels is None else labels.to(device.torch_device),
            )

    @override
    def arrays(self, side: str, predicted: Tensor, dataset: ImageSet) -> dict[str, np.ndarray]:
        assert dataset.image_labels is not None  # only labelled sets are scored
        return {
            f"predicted_{side}": predicted.numpy().astype(np.int16),
            f"label_{side}": dataset.image_labels.cpu().numpy().astype(np.int16),
        }

    @override
    def mistakes(
        self,
        classify: Classify,
        predicted: Tensor,
        dataset: ImageSet,
        palette: Palette,
        device: Device,
        precision: Precision,
    ) -> Mistakes | None:
        return find_confident_mistakes(classify, predicted, dataset, device, precision)


class SegmentationEvaluation(TaskEvaluation):
    """Evaluation of images with one mask each, which are read when they are needed."""

    scores = (
        "miou",
        "class_iou",
        "fwiou",
        "pixel_accuracy",
        "mean_class_accuracy",
        "class_accuracy",
        "classes_averaged",
    )
    shown = 6
    statistics_images = 200
    unlabelled = 20  # of which the pixels are
    draws_predictions = True

    @override
    def count(
        self,
        classify: Classify,
        dataset: ImageSet,
        classes: int,
        device: Device,
        precision: Precision,
        rows: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        by_image = count_pixels(classify, dataset, classes, device, precision, rows=rows)
        return by_image, by_image.sum(0)

    @override
    def count_some(self, predicted: Tensor, dataset: ImageSet, classes: int, rows: Sequence[int]) -> Tensor:
        return predicted[list(rows)].sum(0)

    @override
    def sample_probabilities(
        self,
        classify: Classify,
        images: ImageSet,
        device: Device,
        precision: Precision,
        at_most: int | None = None,
    ) -> Tensor:
        rows = images.sample_rows(self.sample_size(len(images), at_most))
        height, width = images.size
        last_pixel = len(rows) * height * width - 1
        chosen = torch.linspace(0, last_pixel, UNLABELLED).long().clamp_max(last_pixel)
        batches, batch = [], max_batch(images.size)
        for start in range(0, len(rows), batch):  # probabilities of twenty large images would take gigabytes
            some_images = images.take(rows[start : start + batch])[0]
            maps = probabilities(classify, some_images, device, precision)
            pixels = maps.permute(0, 2, 3, 1).flatten(0, 2)
            inside = chosen - start * height * width
            batches.append(pixels[inside[(inside >= 0) & (inside < len(pixels))]])
        return torch.cat(batches)

    @override
    def batch_size(self, dataset: ImageSet, small: int) -> int:
        return max_batch(dataset.size)

    @override
    def parts(self, dataset: ImageSet, images: int, device: Device) -> Iterator[tuple[Tensor, Tensor | None]]:
        for i in dataset.sample_rows(ANALYSED_IMAGES):
            image, mask, _ = dataset.read(i)
            if mask is not None:
                mask = resize_mask(mask, image.shape[1:])[None].to(device.torch_device).long()
            yield to_float(image[None].to(device.torch_device)), mask

    @override
    def arrays(self, side: str, predicted: Tensor, dataset: ImageSet) -> dict[str, np.ndarray]:
        return {f"counts_{side}": predicted.numpy()}

    @override
    def mistakes(
        self,
        classify: Classify,
        predicted: Tensor,
        dataset: ImageSet,
        palette: Palette,
        device: Device,
        precision: Precision,
    ) -> Mistakes | None:
        return find_lowest_iou(classify, predicted, dataset, palette, device, precision)


EVALUATIONS: Mapping[Task, TaskEvaluation] = {
    "classification": ClassificationEvaluation(),
    "segmentation": SegmentationEvaluation(),
}
"""The evaluation of each task; here, and nowhere else, evaluation asks which task it is."""
