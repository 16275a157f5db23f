"""What the task of an experiment means before its data are read: one object for each task.

The task is that of the domains: their images have one label each (classification), or a mask each
(segmentation; also images without labels, to be translated). Nothing but `task_of` asks a config for its
task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any, ClassVar

from cycada.config.schema import Config, Spec, Stage
from cycada.core.errors import CycadaError
from cycada.core.registry import Registry, check_options
from cycada.data import Domain, SegmentationDomain, domains, segmentation_domains
from cycada.data.domain import Wanted, prepare_domain
from cycada.data.image_set import Task
from cycada.methods import Options, StepTensors


class TaskRules(ABC):
    """Rules of one task.

    Attributes:
        name: The task.
        domains: The domains whose images have its kind of labels.
        unit: What has one label, as a phrase.
        memory_keys: Keys of a stage that change how much memory a step takes, besides those of all tasks.
        has_pairs: Whether domains may know the true translation of an image.
    """

    name: ClassVar[Task]
    domains: ClassVar[Registry[Any]]
    unit: ClassVar[str]
    memory_keys: ClassVar[str] = ""
    has_pairs: ClassVar[bool] = False

    def domain(self, spec: Spec, side: str) -> Any:
        """Return the domain that a config names as its source or target.

        Args:
            spec: The domain's name and options.
            side: `source` or `target`, for messages.

        Raises:
            CycadaError: An option is unknown or of another type.
        """
        entry = self.domains[spec.name]
        return entry(**check_options(entry, spec.options, f"data.{side}"))

    @abstractmethod
    def prepare(self, domain: Any, wanted: Wanted, side: str) -> None:
        """Tell a domain what the experiment needs of it; raises CycadaError where its options contradict."""

    @abstractmethod
    def label_shape(self, window: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of the label of one training image, () or (height, width)."""

    @abstractmethod
    def image_classes(self, classes: int) -> int:
        """Return the number of classes of image-level labels; 0 in a task without such labels."""

    @abstractmethod
    def default_options(self, options: type[Options]) -> Mapping[str, Any]:
        """Return the defaults of a method's options that differ in this task."""

    @abstractmethod
    def check_data(self, config: Config) -> None:
        """Check the keys of `data` and `evaluation`; raises CycadaError where one is for the other task."""

    @abstractmethod
    def check_stage(self, where: str, stage: Stage) -> None:
        """Check the keys of a stage; raises CycadaError where one is for the other task."""

    @abstractmethod
    def check_option(self, where: str, value: Any, image_labels_only: bool) -> None:
        """Check a method's option; raises CycadaError where it is for the other task."""

    @abstractmethod
    def check_tensors(self, where: str, used: set[str], tensors: type[StepTensors], source: str) -> None:
        """Check that the labels of the task give the tensors that a loss uses.

        Raises:
            CycadaError: They do not.
        """

    @abstractmethod
    def idle_keys(self, config: Config) -> Mapping[str, str]:
        """Return the keys of `data` that have no effect in this task, each with the reason."""

    @abstractmethod
    def training_set(self, config: Config, domain: Any, labels: bool) -> tuple[str, Callable[[], int]]:
        """Return a training set's split, and the function that counts its images.

        Args:
            config: The experiment.
            domain: The domain, which was prepared.
            labels: Whether the labels are needed.
        """

    @abstractmethod
    def searches(self, config: Config, side: str) -> Iterator[Callable[[], object]]:
        """Yield functions that raise CycadaError where files of a domain are absent; they open no image."""


class Classification(TaskRules):
    """Rules of experiments whose images have one label each."""

    name = "classification"
    domains = domains
    unit = "the whole image"

    def prepare(self, domain: Domain, wanted: Wanted, side: str) -> None:
        """Tell a domain what the experiment needs of it."""
        prepare_domain(domain, wanted, side)

    def label_shape(self, window: tuple[int, int]) -> tuple[int, ...]:
        """Return (): a label is one number."""
        return ()

    def image_classes(self, classes: int) -> int:
        """Return the number of classes."""
        return classes

    def default_options(self, options: type[Options]) -> Mapping[str, Any]:
        """Return nothing: the defaults are those of image labels."""
        return {}

    def check_data(self, config: Config) -> None:
        """Check that images are square, and that the evaluation has no windows and no scales."""
        if not isinstance(config.data.size, int):
            found = config.data.model_dump(mode="json")["size"]
            raise CycadaError(
                f"data.size: found {found}, expected one number: images with image-level labels are "
                f"resized to squares."
            )
        for key in ("window", "scales"):
            if key in config.evaluation.changes():
                raise CycadaError(
                    f"evaluation.{key}: found {config.evaluation.changes()[key]}, but only segmentation has "
                    f"it; an image with one label is classified as a whole. Take it out."
                )

    def check_stage(self, where: str, stage: Stage) -> None:
        """Check that no stage crops its images or has an image size of its own."""
        for key in ("crop", "size", "load_size", "crop_area"):
            if getattr(stage, key):
                raise CycadaError(
                    f"{where}.{key}: only segmentation images are cropped, or have a size of their own in a "
                    f"stage. Take it out."
                )

    def check_option(self, where: str, value: Any, image_labels_only: bool) -> None:
        """Accept every option."""

    def check_tensors(self, where: str, used: set[str], tensors: type[StepTensors], source: str) -> None:
        """Check that no loss needs a label for every pixel."""
        if used & tensors.needs_pixel_labels:
            raise CycadaError(f"{where}: it needs masks, and '{source}' has image-level labels. Take it out.")

    def idle_keys(self, config: Config) -> Mapping[str, str]:
        """Return the keys that no domain of the experiment looks at, each with the reason."""
        both = [domains[spec.name] for spec in (config.data.source, config.data.target)]
        idle: dict[str, str] = {}
        if not any(domain.streams for domain in both):
            why = "the images of these domains are always held in memory"
            idle |= dict.fromkeys(("workers", "hold"), why)
        if not any(domain.downloads for domain in both):
            idle["download"] = "none of the two domains can be downloaded"
        return idle

    def training_set(self, config: Config, domain: Domain, labels: bool) -> tuple[str, Callable[[], int]]:
        """Return the split 'train' and the function that counts it."""
        return "train", partial(domain.count, config.data.resolved_root(), "train", config.data.download)

    def searches(self, config: Config, side: str) -> Iterator[Callable[[], object]]:
        """Yield one search, unless absent files would be downloaded."""
        spec: Spec = getattr(config.data, side)
        if not (config.data.download and domains[spec.name].downloads):
            yield partial(_search_files, self, spec, side, config.data.resolved_root())


def _search_files(task: Classification, spec: Spec, side: str, root: Path) -> None:
    """Raise CycadaError where a file or folder of a domain with image-level labels is missing."""
    domain = task.domain(spec, side)
    paths = getattr(domain, "paths", None)
    if isinstance(paths, dict):
        if missing := [path for path in paths.values() if not (root / path).exists()]:
            raise domain.missing(root, ", ".join(map(str, missing)))
    elif domain.files and not any(glob(str(root / file.split(" ")[0])) for file in domain.files):
        raise domain.missing(root, ", ".join(domain.files))


class Segmentation(TaskRules):
    """Rules of experiments whose images have one mask each."""

    name = "segmentation"
    domains = segmentation_domains
    unit = "every pixel"
    memory_keys = "its crop, "
    has_pairs = True

    def prepare(self, domain: SegmentationDomain, wanted: Wanted, side: str) -> None:
        """Do nothing: such domains read images at their own size."""

    def label_shape(self, window: tuple[int, int]) -> tuple[int, ...]:
        """Return the window: a label is a mask."""
        return window

    def image_classes(self, classes: int) -> int:
        """Return 0: an image with a mask has no image-level label."""
        return 0

    def default_options(self, options: type[Options]) -> Mapping[str, Any]:
        """Return the defaults that differ for segmentation."""
        return options.segmentation_defaults()

    def check_data(self, config: Config) -> None:
        """Check that images are in colour."""
        if config.data.channels != 3:
            raise CycadaError(
                f"data.channels: found {config.data.channels}, expected 3: segmentation needs colour images, "
                "and so does the translation of files. Grey ones are read as colours."
            )

    def check_stage(self, where: str, stage: Stage) -> None:
        """Check that images are not augmented by affine maps."""
        affine = ("rotate", "scale", "shear", "shift")
        moved = [key for key in affine if stage.augment and getattr(stage.augment, key)]
        if moved:
            raise CycadaError(
                f"{where}.augment.{moved[0]}: images with masks cannot be moved by affine maps. They can be "
                f"mirrored (flip: true), change their colours (jitter, blur, random_convolution), and be "
                f"cropped (the stage's keys crop and crop_area)."
            )

    def check_option(self, where: str, value: Any, image_labels_only: bool) -> None:
        """Check that an option moves no pixel away from its label."""
        if value and image_labels_only:
            raise CycadaError(
                f"{where}: it is for image-level labels; it would move the pixels of an image away from "
                f"their labels in the mask. Take it out."
            )

    def check_tensors(self, where: str, used: set[str], tensors: type[StepTensors], source: str) -> None:
        """Check that no loss needs image-level labels."""
        if used & tensors.needs_image_labels:
            raise CycadaError(
                f"{where}: it needs image-level labels, and '{source}' has masks instead. Set its weight "
                f"to 0."
            )

    def idle_keys(self, config: Config) -> Mapping[str, str]:
        """Return the keys that are for image-level labels."""
        return {
            "resize": "images with masks are always resized bilinearly, and their masks by nearest neighbour",
            "download": "no domain with masks can be downloaded",
        }

    def training_set(
        self, config: Config, domain: SegmentationDomain, labels: bool
    ) -> tuple[str, Callable[[], int]]:
        """Return the labelled or the unlabelled split, and the function that counts it."""
        split = "train" if labels else domain.unlabelled
        return split, partial(domain.count, config.data.resolved_root(), split, masks=labels)

    def searches(self, config: Config, side: str) -> Iterator[Callable[[], object]]:
        """Yield one search for each split that every experiment reads."""
        domain = self.domain(getattr(config.data, side), side)
        for split in domain.splits:
            if split in ("train", "test"):
                # Only an oracle needs masks of the target's training images, and reports them itself.
                find = domain.images if (side, split) == ("target", "train") else domain.load
                yield partial(find, config.data.resolved_root(), split)


TASKS = (Classification(), Segmentation())


def task_of(config: Config) -> TaskRules:
    """Return the rules of the experiment's task.

    Raises:
        CycadaError: The two domains have different kinds of labels.
    """
    source, target = (
        next(task for task in TASKS if spec.name in task.domains)
        for spec in (config.data.source, config.data.target)
    )
    if source is not target:
        image_level = next(
            spec.name for spec in (config.data.source, config.data.target) if spec.name in domains
        )
        raise CycadaError(
            f"data: '{image_level}' has image-level labels, and the other domain is for segmentation. Take "
            f"two domains of the same kind."
        )
    return source
