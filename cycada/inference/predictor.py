"""Trained classifiers and segmenters in use: from pictures to classes, as `cycada evaluate` scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pil
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.data import resize_logits, to_float
from cycada.data.preprocess import Preprocess
from cycada.evaluation.predict import max_batch
from cycada.inference.batches import check_floats
from cycada.methods import Classify
from cycada.train.device import Device, Precision

Picture = Path | str | Pil.Image | np.ndarray
"""A file, a PIL image, or a uint8 array (H, W), (H, W, 1) or (H, W, 3)."""
AT_ONCE = 500
"""The largest number of pictures that are classified in one batch, as in the evaluation of a stage."""
AT_A_TIME = 2**26
"""The largest number of class scores that are resized at once, 256 MiB."""


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture.

    Attributes:
        classes: The names of all classes.
        probabilities: (K,) float32, their probabilities, which add up to 1.
    """

    classes: tuple[str, ...]
    probabilities: Tensor

    @property
    def index(self) -> int:
        """The number of the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def label(self) -> str:
        """The name of the most probable class."""
        return self.classes[self.index]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return float(self.probabilities[self.index])

    @property
    def entropy(self) -> float:
        """The entropy of the probabilities in nats, from 0 to log K."""
        return float(torch.special.entr(self.probabilities.double()).sum())

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` most probable classes with their probabilities, the most probable one first."""
        order = self.probabilities.argsort(descending=True, stable=True)[:count]
        return [(self.classes[int(k)], float(self.probabilities[k])) for k in order]


@dataclass(frozen=True)
class MaskPrediction:
    """What a segmenter says of one picture.

    Attributes:
        classes: The names of all classes.
        mask: (H, W) uint8, the number of the most probable class of each pixel of the picture.
    """

    classes: tuple[str, ...]
    mask: np.ndarray

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """The share of the picture's pixels that each class has."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.classes)) / self.mask.size
        return dict(zip(self.classes, counts.tolist(), strict=True))


@dataclass(frozen=True)
class Predictor:
    """A trained classifier or segmenter, with the reading of pictures that belongs to it.

    Attributes:
        classify: Images (N, C, H, W) in [-1, 1] -> logits, with the run's `evaluation` settings.
        classes: The names of the classes, in the order of the logits.
        preprocess: The function from a picture to the network's input.
        segmentation: Whether it names the class of every pixel.
        device: Where it computes.
        precision: The precision of its forward passes.
        identity: The id of the run that it comes from.
        network: The plain network; None where the method classifies in another way.
        palette: Of a segmenter, the colour of each class.
        mask_values: Of a segmenter, what stands for each class in the masks of the target's files: an id, or
            a colour.
    """

    classify: Classify
    classes: tuple[str, ...]
    preprocess: Preprocess
    segmentation: bool
    device: Device
    precision: Precision
    identity: str
    network: nn.Module | None
    palette: tuple[tuple[int, int, int], ...] = ()
    mask_values: tuple[int | tuple[int, int, int], ...] = ()

    @property
    def net(self) -> nn.Module:
        """The plain network, in eval mode: images (N, C, H, W) in [-1, 1] -> Output(features, logits).

        Raises:
            CycadaError: The method classifies without an f_t.
        """
        if self.network is None:
            raise CycadaError(
                f"{self.identity}: it classifies without an f_t, so there is no network to take out."
            )
        return self.network

    @property
    def batch(self) -> int:
        """How many pictures make a batch, so that memory does not grow with their size."""
        return (
            max_batch(self.preprocess.size) if self.segmentation else max_batch(self.preprocess.size, AT_ONCE)
        )

    def predict(
        self, pictures: Picture | Tensor | Sequence[Picture]
    ) -> Prediction | MaskPrediction | list[Prediction | MaskPrediction]:
        """Predict the class of pictures, or of each of their pixels.

        Args:
            pictures: A path, a PIL image, or a uint8 array (H, W), (H, W, 1) or (H, W, 3); or a list of such;
                or a batch, (N, C, H, W), of uint8 in 0..255 or of floats in [-1, 1], which are taken as they
                are.

        Returns:
            A `Prediction` or, of a segmenter, a `MaskPrediction` at the picture's own size; a list of them
            for a list and for a batch.

        Raises:
            CycadaError: A picture cannot be read, or something else was given.
        """
        if isinstance(pictures, Tensor):
            return self._predict_batch(pictures)
        if isinstance(pictures, (str, Path, Pil.Image, np.ndarray)):
            return self._predict_some([pictures])[0]
        if not isinstance(pictures, Sequence):
            raise CycadaError(
                f"predict: found a {type(pictures).__name__}, expected a path, a PIL image, a uint8 array, a "
                "list of these, or a batch tensor (N, C, H, W)."
            )
        return self._predict_list(pictures)

    def _predict_list(self, pictures: Sequence[Picture]) -> list[Prediction | MaskPrediction]:
        """Predict any number of pictures, one batch after the other."""
        return [
            result
            for start in range(0, len(pictures), self.batch)
            for result in self._predict_some(pictures[start : start + self.batch])
        ]

    def _predict_some(self, pictures: Sequence[Picture]) -> list[Prediction | MaskPrediction]:
        """Predict one batch of pictures, of which only one at a time is in memory at its own size."""
        images, sizes = [], []
        for picture in pictures:
            pixels = self.preprocess.read(picture)
            images.append(self.preprocess.resized(pixels))
            sizes.append((pixels.shape[1], pixels.shape[2]))
        return self.predict_resized(images, sizes)

    def predict_resized(
        self, images: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Prediction | MaskPrediction]:
        """Predict one batch of images that `preprocess.resized` has brought to the network's size.

        Args:
            images: (C, h, w) uint8 each.
            sizes: (height, width) of each picture, which is the size of its mask.

        Raises:
            CycadaError: The network gives numbers that are not finite.
        """
        return self._results(to_float(torch.stack(list(images))), sizes)

    def _predict_batch(self, images: Tensor) -> list[Prediction | MaskPrediction]:
        """Predict a batch tensor: uint8 of any size, or floats as the network takes them."""
        if images.ndim != 4 or not (images.dtype == torch.uint8 or images.is_floating_point()):
            raise CycadaError(
                f"predict: found a tensor {tuple(images.shape)} of {images.dtype}, expected (N, C, H, W) of "
                "uint8 in 0..255 or of floats in [-1, 1]."
            )
        if images.dtype == torch.uint8:
            arrays = images.permute(0, 2, 3, 1).cpu().numpy()
            return self._predict_list(list(arrays))
        check_floats(images, self.preprocess.channels)
        size = (images.shape[2], images.shape[3])
        return [
            result
            for part in (images.float().split(self.batch) if len(images) else ())
            for result in self._results(part, [size] * len(part))
        ]

    def _results(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Prediction | MaskPrediction]:
        """Return the predictions of one batch, masks at their `sizes`."""
        if self.network is not None:
            self.network.eval()
        with torch.no_grad(), self.device.autocast(self.precision):
            logits = self.classify(images.to(self.device.torch_device)).float()
        if not bool(logits.isfinite().all()):  # the argmax of NaN would still be a class
            raise CycadaError(
                f"{self.identity}: its network gives numbers that are not finite for these pictures. "
                "Try the precision fp32, or train it again with a lower learning rate."
            )
        if not self.segmentation:
            return [Prediction(self.classes, row) for row in logits.softmax(1).cpu()]
        return [
            MaskPrediction(self.classes, class_map(one, size))
            for one, size in zip(logits, sizes, strict=True)
        ]


def class_map(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return the most probable class of each pixel at another size, as the scores of a stage take it.

    Of large pictures, one class after the other is resized, so that memory does not grow with their number.

    Args:
        logits: (K, h, w) float32.
        size: (height, width) of the result.

    Returns:
        (height, width) uint8.
    """
    if len(logits) * size[0] * size[1] <= AT_A_TIME:
        return resize_logits(logits[None], size).argmax(1)[0].to(torch.uint8).cpu().numpy()
    best = resize_logits(logits[None, :1], size)[0, 0].clone()
    classes = torch.zeros(size, dtype=torch.uint8, device=logits.device)
    for k in range(1, len(logits)):
        score = resize_logits(logits[None, k : k + 1], size)[0, 0]
        classes[score > best] = k
        best = torch.maximum(best, score)
    return classes.cpu().numpy()
