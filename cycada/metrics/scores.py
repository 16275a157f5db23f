"""Scores: pure functions of one (K, K) confusion count (rows: truth, columns: prediction). Shares in [0, 1].

Means over classes are over the classes of the truth, so that whatever is scored on one test set is a mean over the same ones.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cycada.core.registry import Registry

Score = Callable[[Tensor], Tensor]
scores: Registry[Score] = Registry("score")


@scores("accuracy")
def accuracy(count: Tensor) -> Tensor:
    """Share of all examples (or pixels) that were called what they are. -> scalar."""
    return count.diagonal().sum().double() / count.sum()


@scores("pixel_accuracy")
def pixel_accuracy(count: Tensor) -> Tensor:
    """`accuracy` by the name that it has in segmentation. -> scalar."""
    return accuracy(count)


@scores("class_accuracy")
def class_accuracy(count: Tensor) -> Tensor:
    """Per class, the share of its examples that were called by its name (recall). NaN where it is absent. -> (K,)"""
    return count.diagonal().double() / count.sum(1)


@scores("mean_class_accuracy")
def mean_class_accuracy(count: Tensor) -> Tensor:
    """Mean of `class_accuracy` over the classes of the truth. -> scalar."""
    return class_accuracy(count).nanmean()


@scores("class_iou")
def class_iou(count: Tensor) -> Tensor:
    """Per class, true positives / (truth or prediction). NaN where the truth does not hold the class. -> (K,)

    What is wrongly called by the name of an absent class counts against the classes that it was taken from.
    """
    hits, truth = count.diagonal().double(), count.sum(1)
    return (hits / (count.sum(0) + truth - hits)).masked_fill(truth == 0, float("nan"))


@scores("miou")
def miou(count: Tensor) -> Tensor:
    """Mean of `class_iou` over the classes of the truth. -> scalar."""
    return class_iou(count).nanmean()


@scores("fwiou")
def fwiou(count: Tensor) -> Tensor:
    """Mean of `class_iou` weighted by how often each class truly occurs (Long et al. 2015, section 5). -> scalar."""
    share = count.sum(1).double() / count.sum()
    return (share * class_iou(count).nan_to_num()).sum()


@scores("classes_averaged")
def classes_averaged(count: Tensor) -> Tensor:
    """How many classes `miou` is the mean of: those of the truth. -> scalar; the one that is no share."""
    return (count.sum(1) > 0).sum()
