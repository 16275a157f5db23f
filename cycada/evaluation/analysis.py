"""What a report shows of a finished stage, kept so that it needs neither data nor networks: answers, features, drift."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cycada.core.types import IGNORE, ignore_index
from cycada.data import ImageDataset, ResizedDataset, resize_mask, to_float
from cycada.data.scenes import evenly_spaced
from cycada.evaluation.predict import eval_mode
from cycada.evaluation.scoring import Evaluation
from cycada.methods import Networks
from cycada.methods.cycada import translation_of
from cycada.metrics import confusion_matrix
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan
from cycada.train.device import Device

FEATURES = 500
"""Test images of each domain whose features are kept; of scenes, places in them."""
DRIFT = 1000
"""Test images of each domain that semantic drift is measured on."""
SCENES = 50
"""Test scenes of each domain, evenly evenly_spaced over all, that features are taken from and drift is measured on."""
NOISE = 0.05
"""Standard deviation of the noise of the steganography check; images are in [-1, 1], so about 6 of 255 grey levels."""
PART = 250
"""Images that are looked at together."""


def analyse(
    plan: StagePlan, nets: Networks, datasets: Datasets, found: Evaluation, device: Device
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """-> (arrays for analysis.npz, scores for drift.json). One process is enough; of scenes, one is looked at at a time.

    predicted_SIDE, label_SIDE (N,): every test image of a scored domain, in order. counts_SIDE (N, K, K) int32: of scenes, the
    count of each instead. features_source, features_translated, features_target (n, D) float16 with feature_labels_SIDE (n,).
    flip_t, flip_s (K, K): see `drift`. classes: names. palette (K, 3): their colours, of scenes.
    """
    arrays: dict[str, np.ndarray] = {"classes": np.array(datasets.classes)}
    for side, examples in _tested(datasets).items():
        if side not in found.predictions:
            continue
        if isinstance(examples, ResizedDataset):
            arrays[f"counts_{side}"] = found.predictions[side].numpy()
        elif examples.labels is not None:
            arrays[f"predicted_{side}"] = found.predictions[side].numpy().astype(np.int16)
            arrays[f"label_{side}"] = examples.labels.cpu().numpy().astype(np.int16)
    if datasets.palette:
        arrays["palette"] = np.array(datasets.palette, np.uint8)
    with eval_mode(nets):
        arrays |= _features(plan, nets, datasets, device)
        flips, scores = drift(plan, nets, datasets, device)
    return arrays | flips, {name: round(value, 6) for name, value in scores.items()}


def _tested(datasets: Datasets) -> dict[str, ImageDataset | ResizedDataset]:
    """Test images of both domains; of a source without any, its training images."""
    return {
        "source": datasets.source.get("test", datasets.source["train"]),
        "target": datasets.target["test"],
    }


def parts(
    examples: ImageDataset | ResizedDataset, images: int, device: Device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Float images and their labels, on the device: the first `images`, in parts; or `SCENES` scenes, each by itself, with its
    mask at the image's size."""
    place = device.torch_device
    if isinstance(examples, ResizedDataset):
        for i in evenly_spaced(len(examples), SCENES):
            image, mask = examples.read(i)
            labels = None if mask is None else resize_mask(mask, image.shape[1:])[None].to(place).long()
            yield to_float(image[None].to(place)), labels
        return
    for rows in torch.arange(min(images, len(examples))).split(PART):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        yield (
            to_float(examples.images[part].to(place)),
            None if examples.labels is None else examples.labels[part].to(place),
        )


def _through(plan: StagePlan, device: Device) -> Callable[[Any, Tensor], Tensor]:
    """(a network, images) -> its answer in float32."""

    def through(net: Any, images: Tensor) -> Tensor:
        with device.autocast(plan.stage.precision):
            answer: Tensor = net(images)
        return answer.float()

    return through


def _features(plan: StagePlan, nets: Networks, datasets: Datasets, device: Device) -> dict[str, np.ndarray]:
    """Of the stage's classifier: f_t, or f_s where the stage has no f_t. Of scenes, at places that have a label, the same for an
    image and its translation."""
    classifier = nets.f_t if "f_t" in nets else nets.f_s if "f_s" in nets else None
    if classifier is None:
        return {}
    through = _through(plan, device)
    found: dict[str, list[Tensor]] = defaultdict(list)
    for side, examples in _tested(datasets).items():
        for number, (images, labels) in enumerate(parts(examples, FEATURES, device)):
            tensors = {side: images}
            if side == "source" and "g_st" in nets:
                tensors["translated"] = through(translation_of(plan.options, nets.g_st), images)
            for name, seen in tensors.items():
                features = through(lambda x: classifier(x).features, seen)
                said = labels
                if features.ndim == 4:
                    features, said = _at_places(
                        features[0], labels, number, FEATURES // min(SCENES, len(examples))
                    )
                found[f"features_{name}"].append(features.half().cpu())
                if name == side and said is not None:
                    found[f"feature_labels_{side}"].append(said.cpu().to(torch.int16))
    return {name: torch.cat(rows).numpy() for name, rows in found.items()}


def _at_places(
    features: Tensor, labels: Tensor | None, number: int, count: int
) -> tuple[Tensor, Tensor | None]:
    """(D, h, w), (1, H, W) -> (n, D), (n,): at most `count` places that have a label, evenly evenly_spaced, others in each scene."""
    height, width = features.shape[1:]
    k = torch.arange(count, dtype=torch.float64)
    rows = ((k + 0.5) * height / count).long()
    columns = (
        (k + number * count) * ((5**0.5 - 1) / 2) % 1 * width
    ).long()  # multiples of the golden ratio lie nowhere densely
    places = (rows * width + columns).unique().to(features.device)
    if labels is None:
        return features.flatten(1).T[places], None
    said = resize_mask(labels[0].byte(), (height, width)).flatten()[places]
    return features.flatten(1).T[places[said != IGNORE]], said[said != IGNORE]


class _Means:
    """Means over all values that were added by a name."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, name: str, values: Tensor) -> None:
        self._sums[name] += float(values.double().sum())
        self._counts[name] += values.numel()

    def compute(self) -> dict[str, float]:
        return {name: total / self._counts[name] for name, total in self._sums.items() if self._counts[name]}


def drift(
    plan: StagePlan, nets: Networks, datasets: Datasets, device: Device
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What a translation that is learnt in this stage does to classes, as f_s sees them, and whether its cycle cheats.

    Of scenes, what is counted are pixels: every one for flips, those with a label for accuracies.
    flip_t (K, K): classes of source test images before (rows) and after (columns) G_st; flip_s: of target test images and
    G_ts. flip_rate_t, flip_rate_s: the share off the diagonal. translation_accuracy, reconstruction_accuracy: how often
    f_s names G_st(x_s), and G_ts(G_st(x_s)), by the source label; where the second is far above the first, the cycle
    restores from a hidden signal what the translation lost. cycle_l1: mean |G_ts(G_st(x_s)) - x_s|; cycle_l1_noisy: the same
    with Gaussian noise of sd `NOISE` on the translated image: a cycle that hides its signal in small amplitudes breaks (Chu et
    al. 2017, "CycleGAN, a master of steganography"). noise_sensitivity: mean |G_ts(fake + n) - G_ts(fake)| / mean |n|
    (after Bashkirova et al. 2019, section 4.2). translation_error_l1: mean |G_st(x_s) - x|, where x shows the same scene in the
    target's look; untranslated_l1: mean |x_s - x|; only where x is known (`SegmentationDataset.true_translation`).
    """
    source, target = _tested(datasets).values()
    learnt = {role for phase in plan.phases for role in phase.roles}
    reads = "f_s" in nets
    through = _through(plan, device)
    flips: dict[str, Tensor] = {}
    means = _Means()

    def classes(x: Tensor) -> Tensor:
        return through(lambda part: nets.f_s(part).logits, x).argmax(1)

    def flipped(before: Tensor, after: Tensor, way: str) -> None:
        flips[f"flip_{way}"] = confusion_matrix(after, before, len(datasets.classes)) + flips.get(
            f"flip_{way}", 0
        )
        means.add(f"flip_rate_{way}", before != after)

    def right(said: Tensor, labels: Tensor | None, name: str) -> None:
        if labels is not None:
            means.add(f"{name}_accuracy", (said == labels)[labels != ignore_index(len(datasets.classes))])

    known = (
        source.true_translation(target)
        if isinstance(source, ResizedDataset) and isinstance(target, ResizedDataset)
        else None
    )
    truths = (image for image, _ in parts(known, DRIFT, device)) if known else repeat(None)
    random = torch.Generator().manual_seed(0)
    for (images, labels), truth in zip(
        parts(source, DRIFT, device) if "g_st" in learnt else (), truths, strict=False
    ):
        fake = through(nets.g_st, images)
        if reads:
            after = classes(fake)
            flipped(classes(images), after, "t")
            right(after, labels, "translation")
        if truth is not None:
            means.add("translation_error_l1", (fake - truth).abs())
            means.add("untranslated_l1", (images - truth).abs())
        if "g_ts" in learnt:
            rebuilt = through(nets.g_ts, fake)
            noise = NOISE * torch.randn(fake.shape, generator=random).to(fake.device)
            noisy = through(nets.g_ts, fake + noise)
            means.add("cycle_l1", (rebuilt - images).abs())
            means.add("cycle_l1_noisy", (noisy - images).abs())
            means.add("noise", noise.abs())
            means.add("change", (noisy - rebuilt).abs())
            if reads:
                right(classes(rebuilt), labels, "reconstruction")
    for images, _ in parts(target, DRIFT, device) if "g_ts" in learnt and reads else ():
        flipped(classes(images), classes(through(nets.g_ts, images)), "s")
    scores = means.compute()
    if "noise" in scores:
        scores["noise_sensitivity"] = scores.pop("change") / scores.pop("noise")
    return {name: count.cpu().numpy() for name, count in flips.items()}, scores
