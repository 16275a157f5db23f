"""Report what was read before training: counts for every set, images that were left out, and warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.core.progress import Progress
from cycada.data import ImageSet
from cycada.data.doubts import NAMED, group_doubts, summarize_left_out
from cycada.data.pairs import FilePairs
from cycada.data.segmentation import SegmentationDataset, evenly_spaced
from cycada.data.shared_pictures import find_shared_pictures
from cycada.methods import FEATURE_QUEUE
from cycada.planning.build import Datasets
from cycada.planning.stage_plan import StagePlan
from cycada.planning.tasks import task_of

MASKS = 64
"""How many masks of a set, evenly spaced, are searched for classes."""
OPENED = 20_000
"""How many files of a set, evenly spaced, are opened to see whether they fit together: some seconds."""
HEADERS = 256
"""How many files of a segmentation set, evenly spaced, are opened to read their sizes."""
ENLARGED = 1.5
"""Factor from which on a warning says that a user's images are enlarged."""
ENLARGED_DIGITS = 2.0
"""Factor above which the warning comes for a domain whose files are all of one size.

It is larger, because the recipes enlarge digits of 16 x 16 to 32 x 32.
"""

CUT = 2.0
"""Factor between the sides of an image above which a warning says how much is lost where it is cut square."""
STRETCHED = 1.2
"""Factor between the scales of an image's two sides from which on a line says that it is stretched."""
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
"""Usual names of the folders of splits, in small letters."""
UNLABELLED = {"void", "unlabeled", "unlabelled", "ignored", "undefined"}
"""Usual names of what has no class, in small letters."""
UNEQUAL = 5.0
"""Factor between the images of the most frequent and the rarest class from which on a warning tells."""


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
        parts.append(_sizes(sizes, shape, _is_padded(examples, resize), examples.cut_square))
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


def count_own_sizes(examples: ImageSet) -> Mapping[str, int]:
    """Count the files by their own size, 'W x H' in pixels.

    Of files that are not in memory only a sample is counted; drawn images have no files.
    """
    return examples.sizes(evenly_spaced(len(examples), HEADERS))


def warn_of_absent_classes(classes: Sequence[str], counts: np.ndarray, read: int, total: int) -> list[str]:
    """Return a warning that names the classes without an example; empty where every class has one.

    Args:
        classes: Names of the classes.
        counts: How often each class was found, (K,).
        read: How many images were searched.
        total: How many there are.
    """
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if not missing:
        return []
    if not counts.any():
        return [f"{describe_only_ignored(read, total)}, so there is nothing to learn from or to score."]
    where = "" if read >= total else f" in the {read} of {total} that were looked at"
    return [f"no example of {len(missing)} of {len(classes)} classes{where}: {_named(missing)}."]


def warn_of_absent_labels(examples: ImageSet, classes: Sequence[str]) -> list[str]:
    """Return a warning that names the classes without a labelled image; empty where every class has one."""
    if examples.image_labels is None:
        return []
    counts = np.bincount(examples.image_labels.cpu().numpy(), minlength=len(classes))
    return warn_of_absent_classes(classes, counts, len(examples), len(examples))


def warn_of_missing_labels(name: str, examples: ImageSet, classes: Sequence[str]) -> list[str]:
    """Return a warning where a set that is learnt from, or scored, has no labels, and its experiment has.

    Args:
        name: The side and the split, such as 'target test'; the target's training images need no labels.
        examples: The set.
        classes: Names of the classes.
    """
    if examples.labelled or not classes or name not in ("source train", "source test", "target test"):
        return []
    use = "is learnt from them" if name == "source train" else "is scored on them"
    advice = (
        "Give each image a mask"
        if isinstance(examples, SegmentationDataset)
        else "Give each class a folder, or each image a label"
    )
    return [f"its images have no labels, so nothing {use}. {advice}."]


def describe_only_ignored(read: int, total: int) -> str:
    """Return the part of a message that says that all pixels of the masks are ignored."""
    return f"found nothing but ignored pixels ({read} of {total} masks were looked at)"


def warn_of_contradictions(examples: ImageSet, classes: Sequence[str]) -> list[str]:
    """Return a warning where a user's images are equal, pixel for pixel, but have different labels."""
    if examples.image_labels is None:
        return []
    rows: dict[str, list[int]] = {}
    for i, digest in enumerate(examples.identities()):
        rows.setdefault(digest, []).append(i)
    labels = examples.image_labels.cpu().numpy()
    several = [same for same in rows.values() if len({int(labels[i]) for i in same}) > 1]
    if not several:
        return []
    first = several[0]
    files = examples.image_paths
    where = " and ".join(files[i] for i in first[:2]) if files else f"those at {first[0]} and {first[1]}"
    names = _named(sorted({classes[int(labels[i])] for i in first}))
    return [f"{sum(map(len, several))} pictures are the same in several classes, such as {where} ({names})."]


def _repeated_in_batches(plans: Sequence[StagePlan], count: int, side: str) -> list[str]:
    """Return a warning where a batch is larger than the training set, so that it repeats images."""
    large = [
        plan
        for plan in plans
        if plan.stage.batch > count and (side in (plan.method.supervision, "source") or plan.needs_target)
    ]
    if not large:
        return []
    return [
        f"a batch of {_named([plan.name for plan in large])} has {max(plan.stage.batch for plan in large)} "
        f"images and the set {count}, so that images stand in a batch several times. Lower the batch."
    ]


def _shortened_queues(plans: Sequence[StagePlan], count: int) -> list[str]:
    """Return a line for every stage whose queue of features has more places than the target has images."""
    queues = [(plan, plan.options.propagation_queue) for plan in plans if FEATURE_QUEUE in plan.pools]
    return [
        f"stages.{plan.name}.options.propagation_queue is {size}; labels are propagated over {count} images."
        for plan, size in queues
        if count < size + plan.stage.batch
    ]


def warn_of_unequal_classes(plans: Sequence[StagePlan], examples: ImageSet, classes: int) -> list[str]:
    """Return a warning where stages count on equally frequent classes and those of a set are far from it.

    Args:
        plans: The stages.
        examples: The labelled set.
        classes: How many classes there are.
    """
    labels = examples.image_labels
    if labels is None:
        return []
    counts = np.bincount(labels.cpu().numpy(), minlength=classes)
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.max() < UNEQUAL * counts.min():
        return []
    settings = [f"stages.{plan.name}.{setting}" for plan in plans for setting in _equal_classes(plan)]
    if not settings:
        return []
    return [
        f"the most frequent class has {counts.max()} images and the rarest {counts.min()}, and the stages "
        f"move target images towards classes that are equally frequent. If the target's are as unequal, set "
        f"{' '.join(settings)}"
    ]


def _equal_classes(plan: StagePlan) -> Iterator[str]:
    """Yield the settings by which a stage would not count on equally frequent classes."""
    for term in (term for phase in plan.phases for term in phase.terms):
        if term.name == "class_balance" and term.options.get("prior", "uniform") == "uniform":
            yield "losses.class_balance.prior=source"
    if FEATURE_QUEUE in plan.pools and plan.options.propagation_class_ratio < UNEQUAL:
        yield "options.propagation_class_ratio=1000"


def warn_of_one_class(classes: Sequence[str]) -> list[str]:
    """Return a warning where there is nothing to tell apart."""
    return [f"there is one class alone, {classes[0]}: nothing to tell apart."] if len(classes) == 1 else []


def warn_of_names(classes: Sequence[str]) -> list[str]:
    """Return a warning for class names that are alike, of splits, or of what has no class.

    Names are alike that differ in capitals and spaces alone. Folders are called as splits are where the
    folder above them was given.
    """
    spelt: dict[str, list[str]] = {}
    for name in classes:
        spelt.setdefault("".join(name.casefold().split()), []).append(name)
    warnings = [
        f"the classes {' and '.join(map(repr, names))} differ in capitals or spaces alone."
        for names in spelt.values()
        if len(names) > 1
    ]
    if spelt and spelt.keys() <= SPLITS:
        warnings.append(
            f"the classes are called {' and '.join(map(repr, classes))}, as folders of splits are. If the "
            f"folders of the classes lie in them, give one of them as train and the other as test."
        )
    warnings += [
        f"the class {name!r} is learnt and scored as all others are. If it is what has no class, "
        f"call it `ignore` in a file of classes, and leave its folder out of class folders."
        for spelling, (name, *_) in spelt.items()
        if spelling in UNLABELLED
    ]
    return warnings


def warn_of_palettes(sets: Mapping[str, ImageSet], classes: Sequence[str]) -> list[str]:
    """Return a warning for every set whose masks have the first set's colours for other classes.

    Masks are read by the indices of their palettes. Where two sets have the same colours in another order,
    the indices of one of them are probably not those of the classes file.

    Args:
        sets: The sets by their names.
        classes: Names of the classes.
    """
    warnings: list[str] = []
    first: tuple[str, Mapping[int, tuple[int, ...]]] | None = None
    for name, examples in sets.items():
        inner = examples.original if isinstance(examples, SegmentationDataset) else examples
        if not isinstance(inner, FilePairs) or not (
            palette := inner.palette_colours(evenly_spaced(len(inner), MASKS))
        ):
            continue
        first = first or (name, palette)
        others = {colour: k for k, colour in first[1].items()}
        moved = [k for k, colour in palette.items() if others.get(colour, k) != k]
        if moved and set(others) == set(palette.values()) and len(palette) <= len(classes):
            here, there = (classes[k] for k in (moved[0], others[palette[moved[0]]]))
            warnings.append(
                f"{name}: in the palettes of its masks {here!r} has the colour that {there!r} has in "
                f"{first[0]}. The indices are read as class ids; if the colours are what counts, give the "
                "classes as colours."
            )
    return warnings


def _sizes(sizes: Mapping[str, int], shape: tuple[int, int], padded: bool, cut: bool) -> str:
    """Return the files' own sizes and what becomes of them.

    Args:
        sizes: Size, 'W x H' -> number of files.
        shape: Height and width that the images are scaled to.
        padded: Whether they stay as large as they are, on black.
        cut: Whether they are cut square before they are scaled, as images with image-level labels are.
    """
    (common, count), *others = Counter(sizes).most_common()
    more = f" ({count}) and {len(others)} other size{'s' * (len(others) > 1)}" if others else ""
    own = f"{common} pixels{more}"
    wanted = f"{shape[1]} x {shape[0]}"
    if not others and common == wanted:
        return own
    if padded:
        return f"{own}, padded to {wanted}"
    square = "cut square and " if cut and any(w != h for w, h in map(_sides, sizes)) else ""
    scales = [_scale(size, shape) for size in sizes]
    if not cut and max(_stretch(size, shape) for size in sizes) > STRETCHED:
        return f"{own}, stretched to {wanted}"
    change = "enlarged" if min(scales) > 1 else "reduced" if max(scales) < 1 else "scaled"
    return f"{own}, {square}{change} to {wanted}"


def _stretch(size: str, shape: tuple[int, int]) -> float:
    """Return by which factor the ratio of the sides of an image 'W x H' changes, at least 1."""
    width, height = _sides(size)
    ratio = (shape[1] / width) / (shape[0] / height)
    return max(ratio, 1 / ratio)


def _is_padded(examples: ImageSet, resize: str) -> bool:
    """Return whether images are put on black and not scaled; scenes and their masks always are scaled."""
    return resize == "pad" and examples.task == "classification"


def _stretched(examples: ImageSet, shape: tuple[int, int]) -> list[str]:
    """Return a warning where pictures get another shape because their sides are scaled differently."""
    if examples.cut_square:
        return []
    sizes = count_own_sizes(examples)
    other = {size: n for size, n in sizes.items() if _stretch(size, shape) > STRETCHED}
    if not other:
        return []
    (common, _), *more = Counter(other).most_common()
    kinds = f"of {common} pixels{' and other sizes' if more else ''},"
    return [
        f"{sum(other.values())} of {sum(sizes.values())} pictures, {kinds} are stretched to "
        f"{shape[1]} x {shape[0]}: their sides are scaled by factors that differ by "
        f"{max(_stretch(size, shape) for size in other):.1f}. Set data.size to their shape."
    ]


def _cut(examples: ImageSet) -> list[str]:
    """Return a warning where most of a picture is lost because it is cut to a centred square."""
    if not examples.cut_square:
        return []
    sizes = count_own_sizes(examples)
    long = {size: n for size, n in sizes.items() if square_share(*_sides(size)) < 1 / CUT}
    if not long:
        return []
    (common, _), *more = Counter(long).most_common()
    kinds = f"of {common} pixels{' and other sizes' if more else ''},"
    return [
        f"{sum(long.values())} of {sum(sizes.values())} pictures, {kinds} are cut to the square in their "
        f"middle, which is {square_share(*_sides(common)):.0%} of such a picture. Cut or pad them yourself "
        "where what matters lies elsewhere."
    ]


def square_share(width: int, height: int) -> float:
    """Return the share of a picture that the largest square in it has."""
    return min(width, height) / max(width, height)


def _sides(size: str) -> tuple[int, int]:
    """Return width and height of a size 'W x H'."""
    width, height = map(int, size.split(" x "))
    return width, height


def _scale(size: str, shape: tuple[int, int]) -> float:
    """Return the factor by which an image 'W x H' is enlarged, along the side that is enlarged more."""
    width, height = _sides(size)
    return shape[0] / min(width, height) if shape[0] == shape[1] else max(shape[0] / height, shape[1] / width)


def warn_of_scaling(examples: ImageSet, shape: tuple[int, int], resize: str) -> list[str]:
    """Return warnings where pictures are enlarged, stretched or cut.

    Args:
        examples: The set.
        shape: Height and width that the images are scaled to.
        resize: How images with image-level labels are scaled.
    """
    if _is_padded(examples, resize):
        return []
    return [*_enlarged(examples, shape), *_stretched(examples, shape), *_cut(examples)]


def _enlarged(examples: ImageSet, shape: tuple[int, int]) -> list[str]:
    """Return a warning where files are much smaller than the images that training sees."""
    sizes = count_own_sizes(examples)
    small = {
        size: n
        for size, n in sizes.items()
        if (
            _scale(size, shape) > ENLARGED_DIGITS if examples.is_official else _scale(size, shape) >= ENLARGED
        )
    }
    if not small:
        return []
    (common, _), *others = Counter(small).most_common()
    kinds = f"of {common} pixels{' and other sizes' if others else ''},"
    which = f"{sum(small.values())} of {sum(sizes.values())} pictures, {kinds}"
    return [f"{which} are enlarged to {shape[1]} x {shape[0]}. Lower data.size, or give larger ones."]


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _sets(datasets: Datasets) -> Iterator[tuple[str, ImageSet]]:
    for side, sets in (("source", datasets.source), ("target", datasets.target)):
        for split, examples in sets.items():
            yield f"{side} {split}", examples
