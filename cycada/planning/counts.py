"""Report what was read before training: counts for every set, images that were left out, and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.core.progress import Progress
from cycada.data import ImageSet
from cycada.data.doubts import NAMED, group_doubts, name_some, summarize_left_out
from cycada.data.image_set import evenly_spaced
from cycada.data.shared_pictures import find_shared_pictures
from cycada.methods import FEATURE_QUEUE
from cycada.planning.build import Datasets
from cycada.planning.class_warnings import (
    MASKS,
    describe_only_ignored,
    warn_of_absent_classes,
    warn_of_absent_labels,
    warn_of_contradictions,
    warn_of_missing_labels,
    warn_of_names,
    warn_of_one_class,
    warn_of_palettes,
    warn_of_unequal_classes,
)
from cycada.planning.scaling import HEADERS, count_own_sizes, describe_sizes, is_padded, warn_of_scaling
from cycada.planning.stage_plan import StagePlan
from cycada.planning.tasks import task_of

OPENED = 20_000
"""How many files of a set, evenly spaced, are opened to see whether they fit together: some seconds."""


def report_sets(
    config: Config, datasets: Datasets, screen: Progress, plans: Sequence[StagePlan] = ()
) -> None:
    """Print a line for every set, and warn of doubtful files, of classes without images and of duplicates.

    Args:
        config: The experiment.
        datasets: Its data.
        screen: Where lines and warnings are shown.
        plans: Its stages, whose batches are held against the sets.
    """
    sides = {"source": datasets.source, "target": datasets.target}
    for side, sets in sides.items():
        shape = config.shapes()[side]
        domain = task_of(config).domain(config.data.source if side == "source" else config.data.target, side)
        for split, examples in sets.items():
            name = f"{side} {split}"
            whole = domain.counts.get(domain.unlabelled if name == "target train" else split, 0)
            line = count_line(examples, datasets.classes, shape, config.data.resize, whole)
            screen.info(f"{name}: {line}")
            warnings = group_doubts(examples.doubts(evenly_spaced(len(examples), HEADERS)))
            warnings += warn_of_scaling(examples, shape, config.data.resize)
            warnings += warn_of_missing_labels(name, examples, datasets.classes)
            warnings += warn_of_absent_labels(examples, datasets.classes)
            warnings += warn_of_contradictions(examples, datasets.classes)
            if split == "train":
                warnings += _repeated_in_batches(plans, len(examples), side)
            if (side, split) == ("source", "train"):
                warnings += warn_of_one_class(datasets.classes)
                warnings += warn_of_unequal_classes(plans, examples, len(datasets.classes))
            for warning in warnings:
                screen.warn(f"{name}: {warning}")
            if (side, split) == ("target", "train"):
                for line in _shortened_queues(plans, len(examples)):
                    screen.info(f"{name}: {line}")
    warnings, remarks = find_shared_pictures(dict(_sets(datasets)))
    if config.data.source == config.data.target:
        warnings.append("data: source and target are the same, so that there is nothing to adapt to.")
    warnings += warn_of_palettes(dict(_sets(datasets)), datasets.classes)
    warnings += [f"data: {warning}" for warning in warn_of_names(datasets.classes)]
    for warning in warnings:
        screen.warn(warning)
    for remark in remarks:
        screen.info(remark)


def check_files(datasets: Datasets, screen: Progress) -> None:
    """Check before training that files fit together, and warn of classes that none of some masks shows.

    Raises:
        CycadaError: Where a file cannot be opened, an image and its mask or the pictures of a pair differ in
            size, or the source's masks hold nothing but ignored pixels.
    """
    for _, examples in _sets(datasets):
        for i in evenly_spaced(len(examples), OPENED):
            examples.check_headers(i)
    for name, examples in _sets(datasets):
        if (
            not examples.labelled
            or examples.image_labels is not None
            or not datasets.classes
            or name == "target train"
        ):
            continue
        counts = np.zeros(len(datasets.classes), np.int64)
        sample, read = evenly_spaced(len(examples), MASKS), 0
        for i in [*sample, *sorted(set(range(len(examples))) - set(sample))]:
            if read >= len(sample) and counts.any():
                break  # the rest is read only where the sample held no labelled pixel
            mask = examples.read(i).label
            read += 1
            if mask is not None:
                counts += np.bincount(mask.numpy().ravel(), minlength=256)[: len(counts)]
        if name == "source train" and not counts.any():
            raise CycadaError(
                f"{name}: {describe_only_ignored(read, len(examples))}, expected pixels of "
                f"{', '.join(datasets.classes[:NAMED])}. "
                "Say in the classes file which values of the masks are which class."
            )
        for warning in warn_of_absent_classes(datasets.classes, counts, read, len(examples)):
            screen.warn(f"{name}: {warning}")


def count_line(
    examples: ImageSet,
    classes: Sequence[str],
    shape: tuple[int, int],
    resize: str = "bilinear",
    whole: int = 0,
) -> str:
    """Return a line with the number of images and of classes, their size, and what was left out.

    Args:
        examples: The set.
        classes: Names of the classes.
        shape: Height and width that the images are scaled to.
        resize: How images with image-level labels are scaled: `pad`, or an interpolation.
        whole: Number of images of the published split that it is, or is a part of; 0 where there is none.
    """
    part = f" ({part})" if (part := describe_part(examples, whole)) else ""
    parts = [f"{len(examples)} images{part}", examples.describe_labels(len(classes))]
    if sizes := count_own_sizes(examples):
        parts.append(describe_sizes(sizes, shape, is_padded(examples, resize), examples.cut_square))
    line = ", ".join(parts)
    left_out = dict(examples.left_out) | dict(examples.skipped)
    return f"{line}; left out: {summarize_left_out(left_out)}" if left_out else line


def describe_part(examples: ImageSet, whole: int) -> str:
    """Return a phrase that says how many images a published set has, or '' where they are all here.

    Args:
        examples: The set as it was read.
        whole: Number of images of the published split; 0 where there is none.
    """
    return f"the whole set has {whole:,}" if len(examples) + len(examples.skipped) < whole else ""


def _repeated_in_batches(plans: Sequence[StagePlan], count: int, side: str) -> list[str]:
    """Return a warning where a batch is larger than the training set, so that it repeats images."""
    large = [
        plan
        for plan in plans
        if plan.stage.batch > count and (side in (plan.method.supervision, "source") or plan.needs_target)
    ]
    if not large:
        return []
    names = name_some([plan.name for plan in large])
    return [
        f"a batch of {names} has {max(plan.stage.batch for plan in large)} images and the set {count}, so "
        "that images stand in a batch several times. Lower the batch."
    ]


def _shortened_queues(plans: Sequence[StagePlan], count: int) -> list[str]:
    """Return a line for every stage whose queue of features has more places than the target has images."""
    queues = [(plan, plan.options.propagation_queue) for plan in plans if FEATURE_QUEUE in plan.pools]
    return [
        f"stages.{plan.name}.options.propagation_queue is {size}; labels are propagated over {count} images."
        for plan, size in queues
        if count < size + plan.stage.batch
    ]


def _sets(datasets: Datasets) -> Iterator[tuple[str, ImageSet]]:
    for side, sets in (("source", datasets.source), ("target", datasets.target)):
        for split, examples in sets.items():
            yield f"{side} {split}", examples
