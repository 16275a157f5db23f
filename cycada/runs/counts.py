"""What was read before anything is trained: a line of counts for every set, what was left out, and what to be warned of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cycada.build import Datasets
from cycada.config import Config
from cycada.data import Examples, Fitted
from cycada.data.scenes import spread
from cycada.errors import CycadaError
from cycada.runs.progress import Screen

NAMED = 10
"""Classes or files that a line names before it says how many more there are."""
MASKS = 64
"""Masks of scenes, evenly over a set, in which classes are looked for."""
HEADERS = 256
"""Files of scenes, evenly over a set, whose first bytes are looked at."""
ENLARGED = 1.5
"""From this factor on it is a warning that pictures are enlarged."""


def report_sets(config: Config, datasets: Datasets, screen: Screen) -> None:
    """Print a line for every set, and warn of what is in doubt and of classes that the source's training images lack."""
    for name, examples in _sets(datasets):
        screen.say(f"{name}: {count_line(examples, datasets.classes, _shape(config, name))}")
        for warning in _warnings(name, examples, datasets.classes, _shape(config, name)):
            screen.warn(f"{name}: {warning}")


def check_masks(datasets: Datasets, screen: Screen) -> None:
    """Look into masks of the sets before training: warn of classes that none of them shows.

    Raises CycadaError where the source's masks hold nothing but ignored pixels.
    """
    for name, examples in _sets(datasets):
        if not isinstance(examples, Fitted) or not examples.labelled or not datasets.classes or name == "target train":
            continue
        rows = spread(len(examples), MASKS)
        counts = np.zeros(len(datasets.classes), np.int64)
        for i in rows:
            mask = examples.read(i)[1]
            if mask is not None:
                counts += np.bincount(mask.numpy().ravel(), minlength=256)[: len(counts)]
        if not counts.any():
            looked = f"{len(rows)} of {len(examples)} masks were looked at"
            if name == "source train":
                raise CycadaError(
                    f"{name}: found nothing but ignored pixels ({looked}), expected pixels of {', '.join(datasets.classes[:NAMED])}. "
                    f"Say in the classes file which values of the masks are which class."
                )
            screen.warn(f"{name}: found nothing but ignored pixels ({looked}), so there is nothing to score.")
            continue
        for warning in absent(datasets.classes, counts, len(rows), len(examples)):
            screen.warn(f"{name}: {warning}")


def count_line(examples: Examples | Fitted, classes: Sequence[str], shape: tuple[int, int]) -> str:
    """Say in a line how many images there are, of how many classes, of what size, and what was left out."""
    parts = [f"{len(examples)} images"]
    if isinstance(examples, Fitted):
        parts.append("with masks" if examples.labelled else "without masks")
    elif examples.labels is None:
        parts.append("without labels")
    else:
        counts = np.bincount(examples.labels.cpu().numpy(), minlength=len(classes))
        there = counts[counts > 0]
        each = f"{there.min()}" if there.min() == there.max() else f"{there.min()} to {there.max()}"
        parts.append(f"{len(there)} of {len(classes)} classes ({each} each)")
    if sizes := own_sizes(examples):
        (common, count), *others = Counter(sizes).most_common()
        of = f"{common} pixels" if not others else f"{common} pixels ({count}) and {len(others)} other sizes"
        wanted = f"{shape[1]} x {shape[0]}"
        parts.append(of if common == wanted and not others else f"{of}, read at {wanted}")
    line = ", ".join(parts)
    left_out = dict(examples.left_out) | dict(examples.skipped) if isinstance(examples, Fitted) else examples.origin.left_out
    return f"{line}; left out: {listed(left_out)}" if left_out else line


def own_sizes(examples: Examples | Fitted) -> Mapping[str, int]:
    """Count the files by their own size, 'W x H'; empty for scenes, which are read when they are asked for."""
    if isinstance(examples, Fitted):
        return {}
    return examples.origin.sizes or {examples.origin.stored: len(examples)}


def listed(files: Mapping[str, str]) -> str:
    """Say how many files there are, and of the first few what is said of them."""
    some = "; ".join(f"{Path(name).name}: {why}" for name, why in list(files.items())[:3])
    return f"{len(files)} ({some}{'; ...' if len(files) > 3 else ''})"


def grouped(doubts: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for every kind of doubt, with the number of files and the first one's name."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for file, sentences in doubts.items():
        for doubt in sentences:
            kinds.setdefault(re.sub(r"\d+|\S+\.\w+", "N", doubt), []).append((file, doubt))
    return [f"{len(found)} files, such as {found[0][0]}: {found[0][1]}." for found in kinds.values()]


def absent(classes: Sequence[str], counts: np.ndarray, read: int, whole: int) -> list[str]:
    """Warn of the classes that nothing shows, in a sentence; none where all are there, or where nothing is labelled."""
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if not missing or not counts.any():
        return []
    names = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
    where = "" if read >= whole else f" in the {read} of {whole} that were looked at"
    return [f"no example of {len(missing)} of {len(classes)} classes{where}: {names}."]


def _warnings(name: str, examples: Examples | Fitted, classes: Sequence[str], shape: tuple[int, int]) -> list[str]:
    if isinstance(examples, Fitted):
        return grouped(examples.doubts(spread(len(examples), HEADERS)))
    found = grouped(examples.origin.doubts)
    if examples.labels is not None and name == "source train":
        counts = np.bincount(examples.labels.cpu().numpy(), minlength=len(classes))
        found += absent(classes, counts, len(examples), len(examples))
    enlarged = sum(n for size, n in examples.origin.sizes.items() if ENLARGED * min(map(int, size.split(" x "))) <= min(shape))
    if enlarged:
        found.append(f"{enlarged} of {len(examples)} pictures are smaller than data.size and are enlarged to {shape[1]} x {shape[0]}.")
    return found


def _sets(datasets: Datasets) -> Iterator[tuple[str, Any]]:
    for side, sets in (("source", datasets.source), ("target", datasets.target)):
        for split, examples in sets.items():
            yield f"{side} {split}", examples


def _shape(config: Config, name: str) -> tuple[int, int]:
    return config.shapes()[name.split(maxsplit=1)[0]]
