"""Warn of classes that are absent, unequal or oddly named, and of labels that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cycada.data import ImageSet
from cycada.data.doubts import name_some
from cycada.data.image_set import evenly_spaced
from cycada.data.pairs import FilePairs
from cycada.data.segmentation import SegmentationDataset
from cycada.methods import FEATURE_QUEUE
from cycada.planning.stage_plan import StagePlan

MASKS = 64
"""How many masks of a set, evenly spaced, are searched for classes."""
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
"""Usual names of the folders of splits, in small letters."""
UNLABELLED = {"void", "unlabeled", "unlabelled", "ignored", "undefined"}
"""Usual names of what has no class, in small letters."""
UNEQUAL = 5.0
"""Factor between the images of the most frequent and the rarest class from which on a warning tells."""


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


def warn_of_absent_labels(examples: ImageSet, classes: Sequence[str]) -> list[str]:
    """Return a warning that names the classes without a labelled image; empty where every class has one."""
    if examples.image_labels is None:
        return []
    counts = np.bincount(examples.image_labels.cpu().numpy(), minlength=len(classes))
    return warn_of_absent_classes(classes, counts, len(examples), len(examples))


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
    return [f"no example of {len(missing)} of {len(classes)} classes{where}: {name_some(missing)}."]


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
    names = name_some(sorted({classes[int(labels[i])] for i in first}))
    return [f"{sum(map(len, several))} pictures are the same in several classes, such as {where} ({names})."]


def warn_of_one_class(classes: Sequence[str]) -> list[str]:
    """Return a warning where there is nothing to tell apart."""
    return [f"there is one class alone, {classes[0]}: nothing to tell apart."] if len(classes) == 1 else []


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
