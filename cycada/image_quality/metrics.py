"""Who looks at test pictures and their translations while they pass by, and what each has found in the end.

A judge sees every batch of both sides once and keeps counts or small vectors, never pictures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from cycada.data import resize_images, resize_logits
from cycada.data.palettes import colour_scores
from cycada.data.scenes import Palette
from cycada.evaluation.scoring import as_scores
from cycada.methods import Classify, Direction
from cycada.metrics import confusion_matrix
from cycada.metrics.diversity import relative_diversity, thumbnails
from cycada.metrics.image_quality import Moments, frechet_distance, kernel_distance
from cycada.metrics.structure import structure_distance
from cycada.networks.inception import InceptionFeatures

Split = Literal["test", "train"]
WAY: dict[str, Direction] = {"source": "st", "target": "ts"}
"""The side that pictures come from -> the direction that they are translated in."""
LABELS_DECODE = 0.75
"""Share of pixels from which on a source's own pictures count as its masks in the palette's colours: else nearest colours mean nothing."""


@dataclass(frozen=True)
class Batch:
    """Pictures of one side as (n, C, H, W) float in [-1, 1] on the device, in the values that 8 bits have.

    labels: (n,) classes or n masks at sizes of their own; None without. fake: their translations; None where there is no way to
    translate them. truth: what these ought to be; None where nobody knows. split: `train` are pictures to compare with alone.
    """

    side: Literal["source", "target"]
    split: Split
    real: Tensor
    labels: Sequence[Tensor] | Tensor | None = None
    fake: Tensor | None = None
    truth: Tensor | None = None

    @property
    def way(self) -> Direction:
        return WAY[self.side]


class StreamingMetric(Protocol):
    def update(self, batch: Batch) -> None: ...

    def compute(self) -> dict[str, Any]:
        """Plain values for JSON; empty where there was nothing to measure."""


def count_answers(logits: Tensor, labels: Sequence[Tensor] | Tensor, classes: int) -> Tensor:
    """(K, K) of the answers (n, K[, h, w]) for (n,) labels, or n masks: each answered at the mask's own size."""
    if logits.ndim == 2:
        return confusion_matrix(logits.argmax(1).cpu(), torch.as_tensor(labels).cpu(), classes)  # type: ignore[arg-type]
    counts = torch.zeros(classes, classes, dtype=torch.long)
    for answer, mask in zip(logits, labels, strict=True):
        said = resize_logits(answer[None].float(), mask.shape).argmax(1)[0]
        counts += confusion_matrix(said, mask.to(said.device), classes).cpu()
    return counts


class ConfusionMetric:
    """Scores of answers, under the names that they were counted by."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts: dict[str, Tensor] = {}
        self.n: dict[str, int] = defaultdict(int)
        self.of_scenes = False

    def add(self, name: str, logits: Tensor, labels: Sequence[Tensor] | Tensor) -> None:
        self.of_scenes = logits.ndim == 4
        self.counts[name] = self.counts.get(name, 0) + count_answers(logits, labels, self.classes)
        self.n[name] += len(logits)

    def compute(self) -> dict[str, Any]:
        return {
            name: as_scores(count, self.of_scenes) | {"n": self.n[name]}
            for name, count in self.counts.items()
        }


class FcnScore:
    """The FCN score (Isola et al. 2017, section 3.3; CycleGAN, section 5.1.1): a segmenter of real target photos says what it sees on

    translated source scenes, which is held against the scenes' own masks. `st`: that. `untranslated`: on the scenes as they were.
    `real`: on the real target photos, the row that no translation is expected to beat. On images with one label each: a classifier
    and its accuracy.
    """

    def __init__(self, classify: Classify, size: tuple[int, int], classes: int) -> None:
        self.classify, self.size, self.counting = classify, size, ConfusionMetric(classes)

    def update(self, batch: Batch) -> None:
        if batch.split != "test" or batch.labels is None:
            return
        shown = (
            {"st": batch.fake, "untranslated": batch.real} if batch.side == "source" else {"real": batch.real}
        )
        for name, images in shown.items():
            if images is not None:
                self.counting.add(name, self.classify(resize_images(images, self.size)).float(), batch.labels)

    def compute(self) -> dict[str, Any]:
        return self.counting.compute()


class LabelScore:
    """Labels from photos: translations of target photos into label maps, every pixel by the nearest colour of the palette, against the

    photos' masks (`ts`). `real`: the source's own pictures so decoded, what their size and compression alone cost. Nothing is
    found where these are no label maps in the palette's colours.
    """

    def __init__(self, palette: Palette) -> None:
        self.palette, self.counting = palette, ConfusionMetric(len(palette))

    def update(self, batch: Batch) -> None:
        shown = {"source": ("real", batch.real), "target": ("ts", batch.fake)}[batch.side]
        if (
            batch.split == "test"
            and batch.labels is not None
            and shown[1] is not None
            and shown[1].shape[1] == 3
        ):
            self.counting.add(shown[0], colour_scores(shown[1], self.palette), batch.labels)

    def compute(self) -> dict[str, Any]:
        found = self.counting.compute()
        return found if found.get("real", {}).get("pixel_accuracy", 0.0) >= LABELS_DECODE else {}


class Pixels:
    """What needs no network, by direction. diversity: mean distance of two translations over that of two real pictures of the domain

    that they should look like, shrunk. l1, psnr: against the true translation, where it is known: mean absolute difference of
    pixels in [-1, 1], and decibels, the mean over pictures. untranslated_l1, untranslated_psnr: of the picture as it was.
    """

    def __init__(self) -> None:
        self.small: dict[str, list[Tensor]] = defaultdict(list)
        self.errors: dict[str, list[Tensor]] = defaultdict(list)

    def update(self, batch: Batch) -> None:
        if batch.split != "test":
            return
        self.small[batch.side].append(thumbnails(batch.real).cpu())
        if batch.fake is None:
            return
        self.small[batch.way].append(thumbnails(batch.fake).cpu())
        if batch.truth is None:
            return
        for name, made in (("", batch.fake), ("untranslated_", batch.real)):
            apart = (made - batch.truth).double().flatten(1)
            self.errors[f"{batch.way} {name}l1"].append(apart.abs().mean(1).cpu())
            self.errors[f"{batch.way} {name}psnr"].append(
                (-10 * (apart.square().mean(1) / 4).clamp_min(1e-10).log10()).cpu()
            )

    def compute(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for way, real in (("st", "target"), ("ts", "source")):
            if made := self.small.get(way):
                diversity = relative_diversity(torch.cat(made), torch.cat(self.small[real]))
                known = {
                    k.split()[1]: round(float(torch.cat(v).mean()), 6)
                    for k, v in self.errors.items()
                    if k.startswith(f"{way} ")
                }
                n = sum(map(len, made))
                found[way] = (
                    {"n": n}
                    | ({} if diversity.isnan() else {"diversity": round(float(diversity), 6)})
                    | known
                )
        return found


class Distances:
    """FID, KID, structure distance and diversity of translations as an extractor sees them, by direction.

    fid, kid: of translations and real test pictures of the domain that they should look like. untranslated_: of the pictures as they
    were. real_: of as many real training pictures of that domain, how low chance alone gets with so few. fid_full_rank: whether
    there are more pictures than features. structure: the mean over pictures; absent where the extractor keeps no places.
    """

    def __init__(self, extract: Callable[[Tensor], InceptionFeatures]) -> None:
        self.extract = extract
        self.features: dict[str, list[Tensor]] = defaultdict(list)
        self.moments: dict[str, Moments] = defaultdict(Moments)
        self.structure: dict[str, list[Tensor]] = defaultdict(list)

    def update(self, batch: Batch) -> None:
        real = self._keep(f"{batch.side} {batch.split}", batch.real)
        if batch.fake is None:
            return
        fake = self._keep(batch.way, batch.fake)
        if real.maps is not None and fake.maps is not None:
            self.structure[batch.way].append(structure_distance(real.maps, fake.maps).cpu())

    def _keep(self, name: str, images: Tensor) -> InceptionFeatures:
        seen = self.extract(images)
        self.moments[name].add(seen.pooled)
        self.features[name].append(seen.pooled.float().cpu())
        return seen

    def compute(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for way, source, target in (("st", "source", "target"), ("ts", "target", "source")):
            real = f"{target} test"
            if way not in self.features or real not in self.features:
                continue
            values: dict[str, Any] = {"n": self.moments[way].n, "n_real": self.moments[real].n}
            for prefix, name in (
                ("", way),
                ("untranslated_", f"{source} test"),
                ("real_", f"{target} train"),
            ):
                values |= {f"{prefix}{key}": value for key, value in self._apart(name, real).items()}
            diversity = relative_diversity(torch.cat(self.features[way]), torch.cat(self.features[real]))
            values |= {} if diversity.isnan() else {"diversity": round(float(diversity), 6)}
            if parts := self.structure.get(way):
                values["structure"] = round(float(torch.cat(parts).double().mean()), 8)
            found[way] = values
        return found

    def _apart(self, name: str, real: str) -> dict[str, Any]:
        a, b = self.moments[name], self.moments[real]
        if min(a.n, b.n) < 4:
            return {}
        frechet = frechet_distance(a, b)
        kid = kernel_distance(torch.cat(self.features[name]), torch.cat(self.features[real]))
        return {
            "fid": round(frechet.distance, 6), "fid_full_rank": frechet.full_rank,
            "kid": round(kid.mean, 8), "kid_error": round(kid.error, 8), "kid_subset": kid.size,
        }  # fmt: skip
