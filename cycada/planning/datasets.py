"""Both domains' datasets of an experiment: read, checked, and at the size that networks see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cycada.config.schema import Config, Stage, digest
from cycada.core.errors import CycadaError, list_some
from cycada.core.sizes import shapes_of
from cycada.data import Domain, ImageSet, ResizedDataset, Split
from cycada.data.domain import Wanted, check_loaded
from cycada.data.image_set import Task
from cycada.data.segmentation import Palette, SegmentationDataset
from cycada.planning.stage_plan import StagePlan
from cycada.planning.tasks import task_of
from cycada.train.device import Device


@dataclass(frozen=True)
class Datasets:
    """Both domains' datasets, at the size that networks see.

    The target's training labels are dropped here, unless a stage is an oracle.

    Attributes:
        classes: Names of the classes, in order; empty if neither domain has labels.
        source: Split to the labelled source set. A segmentation source may lack `test`, and is then not
            scored.
        target: Split to the target set; its training set has no labels.
        oracle: The target's training set with labels, if a stage is an oracle, else None.
        fingerprint: Hash of all images and of all labels that may be used; part of stage ids.
        palette: A colour for each class of masks; empty for image-level labels.
    """

    classes: tuple[str, ...]
    source: Mapping[Split, ImageSet]
    target: Mapping[Split, ImageSet]
    oracle: ImageSet | None
    fingerprint: str
    palette: Palette = ()

    def resized_to(self, config: Config, stage: Stage) -> Datasets:
        """Return the same datasets with segmentation images at the size of a stage."""
        shapes = config.shapes(stage)

        source, target = (
            {split: dataset.resized_to(shapes[side]) for split, dataset in getattr(self, side).items()}
            for side in ("source", "target")
        )
        oracle = None if self.oracle is None else self.oracle.resized_to(shapes["target"])
        return replace(self, source=source, target=target, oracle=oracle)

    @property
    def test_images(self) -> dict[Literal["source", "target"], ImageSet]:
        """Both domains' test images; of a source without any, its training images."""
        return {"source": self.source.get("test", self.source["train"]), "target": self.target["test"]}

    @property
    def task(self) -> Task:
        """What the labels are for."""
        return self.target["test"].task


def load_datasets(config: Config, plans: list[StagePlan], device: Device) -> Datasets:
    """Return the datasets of an experiment: read, checked, converted, and moved to the device.

    Segmentation datasets stay on the CPU; their images are read when they are needed.

    Args:
        config: The experiment.
        plans: Its stages, which say whether an oracle needs the target's labels.
        device: Where image datasets are kept.

    Raises:
        CycadaError: Data are missing or unsound, or the domains have different classes.
    """
    return LOADERS[task_of(config).name](config, plans, device)


def _load_images(config: Config, plans: list[StagePlan], device: Device) -> Datasets:
    """Return the datasets with image-level labels, which are kept on the device where they fit."""
    data = config.data
    hasher = hashlib.blake2b(digest_size=8)
    datasets: dict[tuple[str, str], ImageSet] = {}
    sides: dict[str, Domain] = {}
    for side in ("source", "target"):
        sides[side] = domain = build_domain(config, plans, side, sides["source"].classes if sides else ())
        for split in ("train", "test"):
            loaded = domain.load(data.resolved_root(), split, data.download)
            raw = check_loaded(loaded, domain.classes, f"data.{side}, {split}: domain '{domain.name}'")
            raw.hash_into(hasher, labels=side == "source" or split == "test")
            datasets[side, split] = raw.converted(
                data.channels, shapes_of(data.size)["source"], data.resize, device.torch_device
            )
        if domain.classes_from_files:
            hasher.update("\n".join(domain.classes).encode())
    source, target = sides["source"], sides["target"]
    check_same_classes(source.classes, target.classes)
    oracle = datasets["target", "train"] if any(p.method.supervision == "target" for p in plans) else None
    return Datasets(
        source.classes,
        {"train": datasets["source", "train"], "test": datasets["source", "test"]},
        {"train": datasets["target", "train"].without_labels(), "test": datasets["target", "test"]},
        oracle,
        hasher.hexdigest(),
    )


def _load_segmentation(config: Config, plans: list[StagePlan], device: Device) -> Datasets:
    """Return the datasets with masks, which are resized for training and at full resolution for tests."""
    data, root = config.data, config.data.resolved_root()

    def resize(
        dataset: SegmentationDataset, side: str, full_resolution_masks: bool = False
    ) -> ResizedDataset:
        resized = ResizedDataset(dataset, config.shapes()[side], full_resolution_masks)
        return ResizedDataset(
            dataset,
            resized.size,
            full_resolution_masks,
            cache=resized.megabytes() <= data.hold and not data.workers,
        )

    source, target = (build_domain(config, plans, side) for side in ("source", "target"))
    source_sets = {"train": resize(source.load(root, "train"), "source")}
    if "test" in source.splits:
        source_sets["test"] = resize(source.load(root, "test"), "source", full_resolution_masks=True)
    images = target.images(root, target.unlabelled)
    target_sets = {
        "train": resize(images, "target"),
        "test": resize(target.load(root, "test"), "target", full_resolution_masks=True),
    }
    labels = any(p.method.supervision == "target" for p in plans)
    check_same_classes(source.classes, target.classes)
    named = source if source.classes else target
    prints = [dataset.fingerprint(labels=True) for dataset in source_sets.values()] + [
        dataset.fingerprint(dataset.labelled) for dataset in target_sets.values()
    ]
    oracle = resize(target.load(root, "train") if labels else target.images(root, "train"), "target")
    if target.unlabelled != "train":
        prints.append(oracle.fingerprint(labels=False))
    prints += [domain.classes_read for domain in (source, target) if domain.classes_read]
    return Datasets(
        tuple(named.classes),
        # mypy infers dict[str, ...] for both; their keys are "train" and "test", which are splits.
        source_sets,  # type: ignore[arg-type]
        target_sets,  # type: ignore[arg-type]
        oracle if labels else None,
        digest(prints),
        named.palette,
    )


# A switch by task, not a method of TaskRules: the rules describe an experiment before its data are read, and
# are used where nothing may be loaded.
LOADERS: Mapping[Task, Callable[[Config, list[StagePlan], Device], Datasets]] = {
    "classification": _load_images,
    "segmentation": _load_segmentation,
}
"""Function that loads the datasets of an experiment, for each task."""


def check_same_classes(
    source: Sequence[str], target: Sequence[str], names: tuple[str, str] = ("the source", "the target")
) -> None:
    """Check that two domains which both have classes have the same ones in the same order.

    Args:
        source: The classes of the one.
        target: The classes of the other.
        names: How the message calls them.

    Raises:
        CycadaError: They differ; the message names the classes that each domain lacks.
    """
    if not source or not target or tuple(source) == tuple(target):
        return
    one, other = names
    lacking = [(one, name) for name in target if name not in source]
    lacking += [(other, name) for name in source if name not in target]
    where = "; ".join(f"{side} lacks '{name}'" for side, name in lacking[:5]) or "their order differs"
    raise CycadaError(
        f"data: {one} has the classes {list_some(source)}, {other} {list_some(target)}; they must "
        f"be the same, in the same order ({where})."
    )


def build_domain(
    config: Config, plans: Sequence[StagePlan], side: str, source_classes: tuple[str, ...] = ()
) -> Any:
    """Return the source or target domain, told what the experiment needs of it before it reads any data.

    Args:
        config: The experiment.
        plans: Its stages; only an oracle among them needs the target's training labels.
        side: `source` or `target`.
        source_classes: For the target, the class names of the source.

    Raises:
        CycadaError: An option is unknown or of another type.
    """
    task = task_of(config)
    domain = task.domain(config.data.source if side == "source" else config.data.target, side)
    labels = side == "source" or any(p.method.supervision == "target" for p in plans)
    data = config.data
    memory = 0 if data.workers else data.hold  # workers read files, so that there have to be files
    wanted = Wanted(config.shapes()[side][0], data.resize, labels, source_classes, memory)
    task.prepare(domain, wanted, side)
    return domain
