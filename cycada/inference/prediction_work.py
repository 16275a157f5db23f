"""The pictures that are predicted, batch by batch, with the files and the row that each of them gets."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

from torch import Tensor

from cycada.core.errors import CycadaError, list_some
from cycada.core.files import changed_since
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.progress import Progress
from cycada.data.doubts import find_masks_among, group_doubts, join_doubts
from cycada.data.picture import picture_doubts
from cycada.data.preprocess import Preprocess
from cycada.inference.class_folders import unlink_others
from cycada.inference.failures import describe_failures
from cycada.inference.folders import find_others, named_outputs
from cycada.inference.image_writer import mark_of
from cycada.inference.mask_writer import mask_picture, overlay_picture, save_marked
from cycada.inference.picture_states import PictureStates, State, state_of
from cycada.inference.prediction_table import PredictionTable
from cycada.inference.predictor import MaskPrediction, Prediction, Predictor
from cycada.inference.sources import BY_CLASS, MASKS, OVERLAYS, Sources
from cycada.planning.scaling import CUT, square_share
from cycada.render.escape import csv_cell

ENLARGED = 2.0
"""Factor above which it is said that a picture is enlarged; recipes enlarge digits by 2."""
PREDICTIONS, SHARES = "predictions.csv", "shares.csv"
STATES = ".pictures.jsonl"
"""File with the state of each picture when it was predicted."""


@dataclass
class Predictions:
    """The result of predicting pictures.

    Attributes:
        out: The folder of the results.
        table: The CSV file: of a classifier predictions.csv, of a segmenter shares.csv.
        run: The id of the run that the network comes from.
        done: How many pictures were predicted.
        there: How many were predicted already, by an earlier call.
        bad: Pictures that could not be predicted, and why.
        left_out: Files beside the pictures that were not read, and why.
        counts: Of a classifier, how many pictures each class has, in all.
        doubts: For each picture that was predicted now, what could not be known about it.
    """

    out: Path
    table: Path
    run: str
    done: int = 0
    there: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)

    def complaint(self) -> str:
        """Return how many pictures failed, and why the first 20 did; empty where none failed."""
        return describe_failures(list(self.bad.values()), len(self.bad) + self.done + self.there, "predicted")

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values for JSON."""
        return {
            "out": str(self.out),
            "table": str(self.table),
            "run": self.run,
            "done": self.done,
            "there": self.there,
            "bad": self.bad,
            "left_out": self.left_out,
            "counts": self.counts,
        }


class PredictionWork:
    """The pictures with the files that each of them gets, and the table that grows.

    Args:
        predictor: The model.
        sources: The pictures.
        out: The folder of the results.
        top: How many classes a row holds.
        overlay: Whether there are overlays.
    """

    def __init__(self, predictor: Predictor, sources: Sources, out: Path, top: int, overlay: bool) -> None:
        self.predictor, self.sources, self.out, self.top, self.overlay = (
            predictor,
            sources,
            out,
            top,
            overlay,
        )
        self.mark = f"{predictor.identity} f_t {predictor.precision}"
        more = [f"{word}_{k}" for k in range(2, top + 1) for word in ("class", "probability")]
        self.table = (
            PredictionTable(out / SHARES, ["path", *predictor.classes])
            if predictor.segmentation
            else PredictionTable(out / PREDICTIONS, ["path", "class", "probability", "entropy", *more])
        )
        self.inside = self._inside() if predictor.segmentation else {}

    def _inside(self) -> dict[str, Path]:
        """Return the path of each picture's mask below masks/."""
        inside: dict[str, Path] = {}
        items = sorted(self.sources.files.items(), key=lambda item: (str(item[1].parent), item[1].name))
        for folder, group in groupby(items, key=lambda item: item[1].parent):
            names, files = zip(*group, strict=True)
            below = _relative(folder, self.sources.root)
            outputs = named_outputs(files, below, "png")
            inside |= {name: to for name, (_, to) in zip(names, outputs, strict=True)}
        return inside

    def _state(self, name: str) -> State | None:
        """Return the state of a picture with the path of its mask, which depends on its neighbours' names."""
        state = state_of(self.sources.files[name])
        return [*state, str(self.inside[name])] if state and self.inside else state

    def _files(self, name: str) -> list[Path]:
        """Return the files that a picture gets besides its row."""
        folders = [MASKS, *([OVERLAYS] if self.overlay else [])] if self.inside else []
        return [self.out / folder / self.inside[name] for folder in folders]

    def _times(self, name: str, written: float) -> list[float]:
        """Return when a picture's results were written: its masks, or the table, where there are none."""
        return [file.stat().st_mtime for file in self._files(name)] or [written]

    def run(self, result: Predictions, screen: Progress) -> None:
        """Predict all pictures without a row, and note the outcome in `result`.

        Raises:
            CycadaError: A file is in the way.
            Interrupted: The call was stopped.
        """
        names = self.sources.files
        rows = {row[0] for row in self.table.rows()}
        known = PictureStates(self.out / STATES)
        states = {name: self._state(name) for name in names}
        written = self.table.path.stat().st_mtime if rows else 0.0
        done = {
            name
            for name in names
            if name in rows
            and all(f.exists() for f in self._files(name))
            and (
                known.known[name] == states[name]
                if name in known.known
                # predicted by an earlier version, which noted no states
                else not any(changed_since(names[name], when) for when in self._times(name, written))
            )
        }
        missing = [name for name in names if name not in done]
        for file in (file for name in missing for file in self._files(name) if file.exists()):
            if mark_of(file) != self.mark:
                raise CycadaError(
                    f"{file}: it was not written by cycada predict. Choose another folder, or remove it."
                )
        result.there, count = len(done), len(names)
        self.table.keep(done)
        self._remove_others(done, screen)
        screen.begin("predict", result.there, count)
        began = time.perf_counter()
        with stop_on_signal(enabled=True) as stopped, self.table as table:

            def report(reading: int) -> None:
                """Report the progress, with the pictures that are read and not predicted yet."""
                finished = result.there + result.done + len(result.bad) + reading
                screen.update(finished, result.done / (time.perf_counter() - began), {})

            try:
                for batch in self._batches(missing, result, screen, report, stopped):
                    table.append(self._rows(*batch))
                    known.append([(name, states[name]) for name in batch[0]])
                    result.done += len(batch[0])
                    report(0)
            finally:
                screen.end()
                among = find_masks_among(names[name] for name in missing)
                for doubt in group_doubts(join_doubts(result.doubts, among)):
                    screen.warn(doubt)
            finished = result.there + result.done + len(result.bad)
            if finished < count:
                raise Interrupted(
                    f"Stopped after {finished} of {count} pictures. The same command continues from there."
                )

    def _remove_others(self, done: Collection[str], screen: Progress) -> None:
        """Remove the masks, overlays and links of all pictures but those that are done; none is true of them.

        It is said which of them are of no picture: with the pictures of a folder, the names of their masks
        change, and a mask must not stay under a name that another picture's could have.
        """
        if not self.predictor.segmentation:
            unlink_others(self.classified(), self.out / BY_CLASS, self.predictor.classes)
            return
        gone = []
        for folder in (self.out / MASKS, self.out / OVERLAYS):
            kept = [folder / self.inside[name] for name in done]
            removed = find_others(folder.rglob("*.png"), kept, self.mark.__eq__)
            for file in removed:
                file.unlink()
            gone += sorted({*removed} - {folder / inside for inside in self.inside.values()})
        if gone:
            names = [str(file.relative_to(self.out)) for file in gone]
            screen.warn(f"{self.out}: removed, since they are of no picture now: {list_some(names)}.")

    def _batches(
        self,
        missing: Sequence[str],
        result: Predictions,
        screen: Progress,
        report: Callable[[int], None],
        stopped: Event,
    ) -> Iterator[tuple[list[str], list[Tensor], list[tuple[int, int]]]]:
        """Yield names, images (C, h, w) uint8 and sizes of pictures, until it is stopped.

        Bad pictures are noted in `result` and left out.
        """
        preprocess = self.predictor.preprocess
        names: list[str] = []
        images: list[Tensor] = []
        sizes: list[tuple[int, int]] = []
        for name in missing:
            if stopped.is_set():
                break
            file = self.sources.files[name]
            try:
                pixels = preprocess.read(file)
                images.append(preprocess.resized(pixels))
            except CycadaError as error:
                text = str(error)
                result.bad[name] = text if str(file) in text else f"{file}: {text}"
                screen.warn(f"left out: {result.bad[name]}")
                continue
            names.append(name)
            sizes.append((pixels.shape[1], pixels.shape[2]))
            doubts = picture_doubts(file, beside_mask=not preprocess.upright)
            doubts += size_doubts(sizes[-1], preprocess)
            if doubts:
                result.doubts[str(file)] = doubts
            if len(names) == self.predictor.batch:
                yield names, images, sizes
                names, images, sizes = [], [], []
            report(len(names))
        if names:
            yield names, images, sizes

    def _rows(
        self, names: list[str], images: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Sequence[object]]:
        """Predict a batch, write its masks, and return its rows."""
        rows: list[Sequence[object]] = []
        for name, found in zip(names, self.predictor.predict_resized(images, sizes), strict=True):
            if isinstance(found, Prediction):
                (label, probability), *others = found.top(self.top)
                rows.append([name, label, probability, found.entropy, *(x for pair in others for x in pair)])
            else:
                self._write(name, found)
                rows.append([name, *found.shares.values()])
        return rows

    def _write(self, name: str, found: MaskPrediction) -> None:
        """Write the mask of a picture and, where it is asked for, its overlay."""
        palette = self.predictor.palette
        mask, *overlay = self._files(name)
        save_marked(mask, mask_picture(found.mask, self.predictor.mask_values, palette), self.mark)
        for file in overlay:
            picture = self.predictor.preprocess.read(self.sources.files[name]).permute(1, 2, 0).numpy()
            save_marked(file, overlay_picture(picture, found.mask, palette), self.mark)

    def counts(self) -> dict[str, int]:
        """Return how many pictures each class has."""
        counted = Counter(row[1] for row in self.table.rows())
        return {name: counted[str(csv_cell(name))] for name in self.predictor.classes}

    def classified(self) -> Iterator[tuple[Path, Path, str]]:
        """Yield the file of each picture, its path inside the folder of its class, and its class."""
        labels = {str(csv_cell(name)): name for name in self.predictor.classes}
        for row in self.table.rows():
            if row[0] in self.sources.files:
                file = self.sources.files[row[0]]
                yield file, _relative(file, self.sources.root), labels[row[1]]


def size_doubts(size: tuple[int, int], preprocess: Preprocess) -> list[str]:
    """Return what is in doubt about a picture for its size, in sentences without the name of its file.

    Args:
        size: Its (height, width).
        preprocess: How it is brought to the network's size.
    """
    if preprocess.resize == "pad" and preprocess.fit != "scene":  # it stays as large as it is
        return []
    (height, width), wanted = size, preprocess.size
    doubts = []
    if ENLARGED * min(size) < min(wanted):
        doubts.append(f"it has {width} x {height} pixels, and is enlarged to {wanted[1]} x {wanted[0]}")
    if preprocess.fit == "crop" and (share := square_share(width, height)) < 1 / CUT:
        doubts.append(
            f"it has {width} x {height} pixels, and only the square in its middle is looked at, {share:.0%} "
            "of it"
        )
    return doubts


def _relative(path: Path, root: Path) -> Path:
    """Return a path from the folder that all pictures lie in; a list may name them in many ways."""
    return Path(os.path.abspath(path)).relative_to(os.path.abspath(root))
