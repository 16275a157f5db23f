"""What a report shows of a finished stage, kept so that it needs neither data nor networks: predictions, features, drift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cycada.build import Datasets
from cycada.data import Examples, Fitted, to_float
from cycada.methods import Networks
from cycada.metrics import confusion_matrix
from cycada.plan import StagePlan
from cycada.runs.scoring import Evaluation
from cycada.train.device import Device
from cycada.train.evaluate import evaluating

FEATURES = 500
"""Test images of each domain whose features are kept."""
DRIFT = 1000
"""Test images of each domain that semantic drift is measured on."""
NOISE = 0.05
"""Standard deviation of the noise of the steganography check; images are in [-1, 1], so about 6 of 255 grey levels."""


def analyse(
    plan: StagePlan, nets: Networks, datasets: Datasets, found: Evaluation, device: Device
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """-> (arrays for analysis.npz, scores for drift.json). One process is enough.

    predicted_SIDE, label_SIDE (N,): every test image of a scored domain, in order. features_source, features_translated,
    features_target (n, D) float16 with feature_labels_SIDE (n,). flip_t, flip_s (K, K): see `drift`. classes: names.
    """
    arrays: dict[str, np.ndarray] = {"classes": np.array(datasets.classes)}
    if isinstance(datasets.target["test"], Fitted):  # features and flips are of whole images so far
        return arrays, {}
    for side, examples in zip(("source", "target"), test_images(datasets), strict=True):
        if side in found.predictions and examples.labels is not None:
            arrays[f"predicted_{side}"] = found.predictions[side].numpy().astype(np.int16)
            arrays[f"label_{side}"] = examples.labels.cpu().numpy().astype(np.int16)
    with evaluating(nets):
        arrays |= _features(plan, nets, datasets, device)
        flips, scores = drift(plan, nets, datasets, device)
    return arrays | flips, {name: round(value, 6) for name, value in scores.items()}


def test_images(datasets: Datasets) -> tuple[Examples, Examples]:
    """Both test sets, where they are of whole images."""
    source, target = datasets.source["test"], datasets.target["test"]
    assert isinstance(source, Examples)
    assert isinstance(target, Examples)
    return source, target


def _mapped(net: Callable[[Tensor], Tensor], images: Tensor, device: Device, plan: StagePlan, batch: int = 250) -> Tensor:
    """Float images through `net`, in parts. float32 on the device."""
    parts = []
    for part in images.split(batch):
        with device.autocast(plan.stage.precision):
            parts.append(net(part).float())
    return torch.cat(parts)


def _features(plan: StagePlan, nets: Networks, datasets: Datasets, device: Device) -> dict[str, np.ndarray]:
    """Of the stage's classifier: f_t, or f_s where the stage has no f_t."""
    classifier = nets.f_t if "f_t" in nets else nets.f_s if "f_s" in nets else None
    if classifier is None:
        return {}
    source, target = test_images(datasets)
    images = {
        "source": to_float(source.images[:FEATURES].to(device.torch_device)),
        "target": to_float(target.images[:FEATURES].to(device.torch_device)),
    }
    if "g_st" in nets:
        images["translated"] = _mapped(nets.g_st, images["source"], device, plan)
    found = {f"features_{k}": _mapped(lambda x: classifier(x).features, v, device, plan).half().cpu().numpy() for k, v in images.items()}
    for side, examples in (("source", source), ("target", target)):
        if examples.labels is not None:
            found[f"feature_labels_{side}"] = examples.labels[:FEATURES].cpu().numpy().astype(np.int16)
    return found


def drift(plan: StagePlan, nets: Networks, datasets: Datasets, device: Device) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What a translation that is learnt in this stage does to classes, as f_s sees them, and whether its cycle cheats.

    flip_t (K, K): classes of source test images before (rows) and after (columns) G_st; flip_s: of target test images and
    G_ts. flip_rate_t, flip_rate_s: the share off the diagonal. translation_accuracy, reconstruction_accuracy: how often
    f_s names G_st(x_s), and G_ts(G_st(x_s)), by the source label; where the second is far above the first, the cycle
    restores from a hidden signal what the translation lost. cycle_l1: mean |G_ts(G_st(x_s)) - x_s|; cycle_l1_noisy: the same
    with Gaussian noise of sd `NOISE` on the translated image: a cycle that hides its signal in small amplitudes breaks (Chu et
    al. 2017, "CycleGAN, a master of steganography"). noise_sensitivity: mean |G_ts(fake + n) - G_ts(fake)| / mean |n|
    (after Bashkirova et al. 2019, section 4.2).
    """
    source, target = test_images(datasets)
    learnt = {role for phase in plan.phases for role in phase.roles}
    images = to_float(source.images[:DRIFT].to(device.torch_device))
    labels = source.labels
    flips: dict[str, np.ndarray] = {}
    scores: dict[str, float] = {}

    def through(net: Any, x: Tensor) -> Tensor:
        return _mapped(net, x, device, plan)

    def classes(x: Tensor) -> Tensor:
        return through(lambda part: nets.f_s(part).logits, x).argmax(1)

    def flipped(before: Tensor, after: Tensor, name: str) -> None:
        flips[f"flip_{name}"] = confusion_matrix(after, before, len(datasets.classes)).cpu().numpy()
        scores[f"flip_rate_{name}"] = float((before != after).float().mean())

    if "g_st" in learnt:
        fake = through(nets.g_st, images)
        if "f_s" in nets:
            after = classes(fake)
            flipped(classes(images), after, "t")
            if labels is not None:
                scores["translation_accuracy"] = float((after == labels[:DRIFT]).float().mean())
    if {"g_st", "g_ts"} <= learnt:
        rebuilt = through(nets.g_ts, fake)
        noise = NOISE * torch.randn(fake.shape, generator=torch.Generator().manual_seed(0)).to(fake.device)
        noisy = through(nets.g_ts, fake + noise)
        scores["cycle_l1"] = float((rebuilt - images).abs().mean())
        scores["cycle_l1_noisy"] = float((noisy - images).abs().mean())
        scores["noise_sensitivity"] = float((noisy - rebuilt).abs().mean() / noise.abs().mean())
        if "f_s" in nets and labels is not None:
            scores["reconstruction_accuracy"] = float((classes(rebuilt) == labels[:DRIFT]).float().mean())
    if "g_ts" in learnt and "f_s" in nets:
        targets = to_float(target.images[:DRIFT].to(device.torch_device))
        flipped(classes(targets), classes(through(nets.g_ts, targets)), "s")
    return flips, scores
