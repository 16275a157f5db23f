"""Streaming metrics over test images and their translations.

A metric sees every batch of both domains once, and keeps counts or small vectors, never images.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from cycada.data import resize_images, resize_logits
from cycada.data.image_set import Task
from cycada.data.palettes import colour_scores
from cycada.data.segmentation import Palette
from cycada.evaluation.scores import as_scores
from cycada.methods import Classify, Direction
from cycada.metrics import confusion_matrix
from cycada.metrics.diversity import relative_diversity, thumbnails
from cycada.metrics.image_quality import Moments, frechet_distance, kernel_distance
from cycada.metrics.structure import structure_distance
from cycada.networks.inception import InceptionFeatures

Side = Literal["source", "target"]
Split = Literal["test", "train"]
DIRECTIONS: dict[str, Direction] = {"source": "st", "target": "ts"}
"""The domain that images come from -> the direction in which they are translated."""
LABELS_DECODE = 0.75
"""Pixel accuracy from which on a source's own images count as masks in the palette's colours.

Below it, the nearest colour of the palette means nothing, and there is no label score.
"""


@dataclass(frozen=True)
class Batch:
    """Images of one domain, (n, C, H, W) float in [-1, 1] on the device, with values that 8 bits can hold.

    Attributes:
        side: The domain that the images are from.
        split: `test`, or `train` for images that serve for comparison only.
        real: The images.
        labels: Classes (n,), or n masks at their own sizes; None without labels.
        fake: Their translations, or None where there is no translation in this direction.
        truth: Their true translations, or None where these are not known.
    """

    side: Side
    split: Split
    real: Tensor
    labels: Sequence[Tensor] | Tensor | None = None
    fake: Tensor | None = None
    truth: Tensor | None = None

    @property
    def direction(self) -> Direction:
        """The direction in which images of this domain are translated."""
        return DIRECTIONS[self.side]


class StreamingMetric(Protocol):
    """A metric that is updated batch by batch, with torchmetrics' method names."""

    def update(self, batch: Batch) -> None:
        """Add the images of a batch."""

    def compute(self) -> dict[str, Any]:
        """Return plain values for JSON; an empty dictionary where there was nothing to measure."""


def confusion(logits: Tensor, labels: Sequence[Tensor] | Tensor, classes: int) -> Tensor:
    """Count predictions against labels.

    Args:
        logits: (n, K), or (n, K, h, w), which are resized to each mask's own size.
        labels: Classes (n,), or n masks.
        classes: K, the number of classes.

    Returns:
        The confusion matrix (K, K), true classes in rows, predicted ones in columns.
    """
    if logits.ndim == 2:
        return confusion_matrix(logits.argmax(1).cpu(), torch.as_tensor(labels).cpu(), classes)
    counts = torch.zeros(classes, classes, dtype=torch.long)
    for logits_of_image, mask in zip(logits, labels, strict=True):
        predicted = resize_logits(logits_of_image[None].float(), mask.shape).argmax(1)[0]
        counts += confusion_matrix(predicted, mask.to(predicted.device), classes).cpu()
    return counts


class ConfusionMetric:
    """Scores of predictions, by the names of the image sets that they were made on.

    Args:
        classes: The number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts: dict[str, Tensor] = {}
        self.n: dict[str, int] = defaultdict(int)
        self.task: Task = "classification"

    def update(self, name: str, logits: Tensor, labels: Sequence[Tensor] | Tensor) -> None:
        """Add predictions on images of the set `name`; see `confusion` for the shapes."""
        self.task = "segmentation" if logits.ndim == 4 else "classification"  # a scorer is no set of images
        self.counts[name] = self.counts.get(name, 0) + confusion(logits, labels, self.classes)
        self.n[name] += len(logits)

    def compute(self) -> dict[str, Any]:
        """Return the scores of each image set, and its number of images n."""
        return {
            name: as_scores(count, self.task) | {"n": self.n[name]} for name, count in self.counts.items()
        }


class FcnScore:
    """The FCN score of translations (Isola et al. 2017, section 3.3; CycleGAN, section 5.1.1).

    A segmenter of real target images predicts masks of translated source images, which are compared with the
    source's own masks (`st`). For comparison: `untranslated`, the same on the source images themselves, and
    `real`, on real target images, which no translation is expected to beat. With image labels, a classifier
    and its accuracy take their place.

    Args:
        classify: The scorer: images -> logits.
        size: Height and width of the images that the scorer takes.
        classes: The number of classes.
    """

    def __init__(self, classify: Classify, size: tuple[int, int], classes: int) -> None:
        self.classify, self.size, self.predictions = classify, size, ConfusionMetric(classes)

    def update(self, batch: Batch) -> None:
        """Add the images of a batch of the test split that has labels."""
        if batch.split != "test" or batch.labels is None:
            return
        shown = (
            {"st": batch.fake, "untranslated": batch.real} if batch.side == "source" else {"real": batch.real}
        )
        for name, images in shown.items():
            if images is not None:
                logits = self.classify(resize_images(images, self.size)).float()
                self.predictions.update(name, logits, batch.labels)

    def compute(self) -> dict[str, Any]:
        """Return the scores of `st`, `untranslated` and `real`."""
        return self.predictions.compute()


class LabelScore:
    """The accuracy of label maps that are translated from photos.

    Every pixel of a translated target image gets the class of the palette's nearest colour, and is compared
    with the target's mask (`ts`). `real` are the source's own label maps decoded in the same way: what their
    size and compression alone cost. Where these are no label maps in the palette's colours, there is no
    score.

    Args:
        palette: A colour for each class.
    """

    def __init__(self, palette: Palette) -> None:
        self.palette, self.predictions = palette, ConfusionMetric(len(palette))

    def update(self, batch: Batch) -> None:
        """Add the images of a batch of the test split that has labels."""
        name, images = {"source": ("real", batch.real), "target": ("ts", batch.fake)}[batch.side]
        if batch.split != "test" or batch.labels is None or images is None or images.shape[1] != 3:
            return
        self.predictions.update(name, colour_scores(images, self.palette), batch.labels)

    def compute(self) -> dict[str, Any]:
        """Return the scores of `ts` and `real`, or nothing where the source's images are no label maps."""
        scores = self.predictions.compute()
        return scores if scores.get("real", {}).get("pixel_accuracy", 0.0) >= LABELS_DECODE else {}


class Pixels:
    """Metrics that need no network, by direction.

    - diversity: mean distance of two translations, divided by that of two real images of the domain that they
      should look like; on thumbnails.
    - l1, psnr: mean absolute difference in [-1, 1] and decibels, against the true translation where it is
      known; the mean over images.
    - untranslated_l1, untranslated_psnr: the same of the untranslated image.
    """

    def __init__(self) -> None:
        self.small: dict[str, list[Tensor]] = defaultdict(list)
        self.errors: dict[str, list[Tensor]] = defaultdict(list)

    def update(self, batch: Batch) -> None:
        """Add the images of a batch of the test split."""
        if batch.split != "test":
            return
        self.small[batch.side].append(thumbnails(batch.real).cpu())
        if batch.fake is None:
            return
        self.small[batch.direction].append(thumbnails(batch.fake).cpu())
        if batch.truth is None:
            return
        for name, images in (("", batch.fake), ("untranslated_", batch.real)):
            difference = (images - batch.truth).double().flatten(1)
            self.errors[f"{batch.direction} {name}l1"].append(difference.abs().mean(1).cpu())
            self.errors[f"{batch.direction} {name}psnr"].append(
                (-10 * (difference.square().mean(1) / 4).clamp_min(1e-10).log10()).cpu()
            )

    def compute(self) -> dict[str, Any]:
        """Return diversity, and errors against true translations, by direction."""
        values: dict[str, Any] = {}
        for direction, real in (("st", "target"), ("ts", "source")):
            if fakes := self.small.get(direction):
                diversity = relative_diversity(torch.cat(fakes), torch.cat(self.small[real]))
                errors = {
                    k.split()[1]: round(float(torch.cat(v).mean()), 6)
                    for k, v in self.errors.items()
                    if k.startswith(f"{direction} ")
                }
                n = sum(map(len, fakes))
                values[direction] = (
                    {"n": n}
                    | ({} if diversity.isnan() else {"diversity": round(float(diversity), 6)})
                    | errors
                )
        return values


class Distances:
    """FID, KID, structure distance and diversity of translations, on an extractor's features.

    All values are given by direction.

    - fid, kid: of translations and real test images of the domain that they should look like.
    - untranslated_*: the same of the untranslated images.
    - real_*: the same of real training images of that domain, as many as translations where there are enough:
      how low values get by chance with so few images.
    - fid_full_rank: whether there are more images than features.
    - structure: the mean over images; absent where the extractor returns no maps.

    Args:
        extract: Images (N, C, H, W) in [-1, 1] -> features.
    """

    def __init__(self, extract: Callable[[Tensor], InceptionFeatures]) -> None:
        self.extract = extract
        self.features: dict[str, list[Tensor]] = defaultdict(list)
        self.moments: dict[str, Moments] = defaultdict(Moments)
        self.structure: dict[str, list[Tensor]] = defaultdict(list)

    def update(self, batch: Batch) -> None:
        """Add the images of a batch."""
        real = self._keep(f"{batch.side} {batch.split}", batch.real)
        if batch.fake is None:
            return
        fake = self._keep(batch.direction, batch.fake)
        if real.maps is not None and fake.maps is not None:
            self.structure[batch.direction].append(structure_distance(real.maps, fake.maps).cpu())

    def _keep(self, name: str, images: Tensor) -> InceptionFeatures:
        features = self.extract(images)
        self.moments[name].add(features.pooled)
        self.features[name].append(features.pooled.float().cpu())
        return features

    def compute(self) -> dict[str, Any]:
        """Return the distances by direction."""
        by_direction: dict[str, Any] = {}
        for direction, source, target in (("st", "source", "target"), ("ts", "target", "source")):
            real = f"{target} test"
            if direction not in self.features or real not in self.features:
                continue
            values: dict[str, Any] = {"n": self.moments[direction].n, "n_real": self.moments[real].n}
            for prefix, name in (
                ("", direction),
                ("untranslated_", f"{source} test"),
                ("real_", f"{target} train"),
            ):
                values |= {f"{prefix}{key}": value for key, value in self._distances(name, real).items()}
            diversity = relative_diversity(
                torch.cat(self.features[direction]), torch.cat(self.features[real])
            )
            values |= {} if diversity.isnan() else {"diversity": round(float(diversity), 6)}
            if distances := self.structure.get(direction):
                values["structure"] = round(float(torch.cat(distances).double().mean()), 8)
            by_direction[direction] = values
        return by_direction

    def _distances(self, name: str, real: str) -> dict[str, Any]:
        """Return FID and KID of two sets of images; nothing for less than 4 images in one of them."""
        a, b = self.moments[name], self.moments[real]
        if min(a.n, b.n) < 4:
            return {}
        frechet = frechet_distance(a, b)
        kid = kernel_distance(torch.cat(self.features[name]), torch.cat(self.features[real]))
        return {
            "fid": round(frechet.distance, 6),
            "fid_full_rank": frechet.full_rank,
            "kid": round(kid.mean, 8),
            "kid_error": round(kid.error, 8),
            "kid_subset": kid.size,
        }
