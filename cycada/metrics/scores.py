"""Scores: pure functions of a (K, K) confusion matrix, with true classes in rows and predicted in columns.

Their values are fractions in [0, 1], and scalars or (K,). Means over classes are over those that occur in the
labels, so that all scores on one test set are means over the same classes.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cycada.core.registry import Registry

Score = Callable[[Tensor], Tensor]
scores: Registry[Score] = Registry("score")


@scores("accuracy")
def accuracy(count: Tensor) -> Tensor:
    """Return the fraction that was classified correctly.

    It is a scalar, over all images (or pixels).
    """
    return count.diagonal().sum().double() / count.sum()


@scores("pixel_accuracy")
def pixel_accuracy(count: Tensor) -> Tensor:
    """Return `accuracy` under its name in segmentation.

    It is a scalar.
    """
    return accuracy(count)


@scores("class_accuracy")
def class_accuracy(count: Tensor) -> Tensor:
    """Return the recall of each class, (K,).

    It is the fraction of the class's images (or pixels) that were classified correctly. It is NaN for a class
    that does not occur in the labels.
    """
    return count.diagonal().double() / count.sum(1)


@scores("mean_class_accuracy")
def mean_class_accuracy(count: Tensor) -> Tensor:
    """Return the mean of `class_accuracy`, a scalar.

    It is the mean over the classes that occur in the labels.
    """
    return class_accuracy(count).nanmean()


@scores("class_iou")
def class_iou(count: Tensor) -> Tensor:
    """Return the intersection over union of each class, (K,).

    It is the number of true positives, divided by that of all examples (or pixels) that are labelled or
    predicted as the class. It is NaN for a class that does not occur in the labels; wrong predictions of such
    a class count against the true classes.
    """
    hits, truth = count.diagonal().double(), count.sum(1)
    return (hits / (count.sum(0) + truth - hits)).masked_fill(truth == 0, float("nan"))


@scores("miou")
def miou(count: Tensor) -> Tensor:
    """Return the mean of `class_iou`, a scalar.

    It is the mean over the classes that occur in the labels.
    """
    return class_iou(count).nanmean()


@scores("fwiou")
def fwiou(count: Tensor) -> Tensor:
    """Return the mean of `class_iou`, weighted by frequency.

    It is a scalar; the weights are the frequencies of the classes (Long et al. 2015, section 5).
    """
    share = count.sum(1).double() / count.sum()
    return (share * class_iou(count).nan_to_num()).sum()


@scores("classes_averaged")
def classes_averaged(count: Tensor) -> Tensor:
    """Return the number of classes that occur in the labels.

    It is a scalar; `miou` is the mean over these classes.
    """
    return (count.sum(1) > 0).sum()
