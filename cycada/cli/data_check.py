"""`cycada data check`: what a domain, or the two of an experiment, hold, and whether it is sound."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cycada.config.schema import Config, data_root, load
from cycada.core.errors import CycadaError
from cycada.core.registry import check_options
from cycada.core.yaml_files import override
from cycada.data import Domain, ImageDataset, SceneDomain, SegmentationDataset, scene_domains
from cycada.data.doubts import grouped, listed
from cycada.data.inspect import DatasetReport, Section, check, sheet
from cycada.data.scenes import Image, Mask, Palette, evenly_spaced
from cycada.metrics.many_classes import EACH, worst_and_best
from cycada.planning.build import agreed, prepared_domain, scene_domain
from cycada.planning.plan import plan
from cycada.runs.counts import absent, absent_labels, contradictions

COLUMNS = ("", "pairs", "skipped", "read", "bad", "labels", "ignored", "W x H")
SHOWN = 4
"""Pairs of each part in a contact sheet."""


@dataclass(frozen=True)
class Part:
    """One split of one domain, read in part. fault: why it could not even be opened."""

    title: str
    count: int
    report: DatasetReport
    scenes: SegmentationDataset | None = None
    fault: str = ""

    @property
    def skipped(self) -> Mapping[str, str]:
        return self.scenes.skipped if self.scenes else {}

    def notes(self, classes: Sequence[str]) -> list[str]:
        """What a person should know of this part before training: files in doubt, and classes that nothing shows."""
        if self.scenes is None:
            return []
        found = grouped(self.scenes.doubts(self.report.sound))
        if isinstance(self.scenes, Pictures):
            return (
                found
                + absent_labels(self.scenes.examples, classes)
                + contradictions(self.scenes.examples, classes)
            )
        if self.report.labelled:
            found += absent(classes, self.report.counts, self.report.read, self.count)
        return found


class Pictures(SegmentationDataset):
    """Images with one label each, to be looked at and counted as scenes are: a pair's mask is its label, one pixel large."""

    def __init__(self, examples: ImageDataset) -> None:
        super().__init__([str(i) for i in range(len(examples))], examples.labels is not None)
        self.examples = examples
        self.left_out = examples.origin.left_out

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """What was noticed when the files were read."""
        return self.examples.origin.doubts

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image = self.examples.images[i].permute(1, 2, 0).numpy()
        label = None if self.examples.labels is None else self.examples.labels[i : i + 1].cpu().numpy()[None]
        return np.broadcast_to(image, (*image.shape[:2], 3)), label


@dataclass(frozen=True)
class Checked:
    """title: whose they are. classes, palette: those of the source. parts: in the order in which they were read."""

    title: str
    classes: tuple[str, ...]
    palette: Palette
    parts: tuple[Part, ...]

    @property
    def faults(self) -> list[str]:
        """What is wrong, each with the part's name and the file's."""
        return [
            f"{p.title}: {fault}" for p in self.parts for fault in ([p.fault] if p.fault else p.report.faults)
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """As `COLUMNS`."""
        found = []
        for p in self.parts:
            r = p.report
            whole = int(r.counts.sum()) + r.ignored
            own = (
                p.scenes.examples.origin.sizes if isinstance(p.scenes, Pictures) else {}
            )  # the files', before they were scaled
            sizes = ", ".join(f"{size} ({n})" for size, n in Counter(own or r.sizes).most_common(3))
            ignored = f"{100 * r.ignored / whole:.2f} %" if whole else "-"
            cells = (
                p.count,
                len(p.skipped),
                r.read + len(r.faults),
                len(r.faults),
                r.labelled,
                ignored,
                sizes or "-",
            )
            found.append((p.title, *map(str, cells)))
        return found

    def shares(self) -> list[tuple[str, ...]]:
        """class, % of what is labelled in each part."""
        totals = [max(int(p.report.counts.sum()), 1) for p in self.parts]
        found = []
        for k, name in enumerate(self.classes):
            shares = [100 * p.report.counts[k] / total for p, total in zip(self.parts, totals, strict=True)]
            labelled = (p.report.labelled for p in self.parts)
            found.append(
                (
                    name,
                    *(
                        f"{share:.2f} %" if there else "-"
                        for share, there in zip(shares, labelled, strict=True)
                    ),
                )
            )
        return found

    def draw(self, path: Path) -> bool:
        """A contact sheet of sound pairs; False where there are none."""
        sections = []
        for p in self.parts:
            rows = (
                [p.report.sound[i] for i in evenly_spaced(len(p.report.sound), SHOWN)]
                if p.report.sound
                else []
            )
            if p.scenes and rows:
                sections.append(Section(p.title, p.scenes, rows))
        if sections:
            sheet(sections, self.classes, self.palette, path)
        return bool(sections)


def check_named(
    what: str, settings: Sequence[str], root: Path | None, split: str, samples: int
) -> tuple[Checked, Path | None]:
    """By the YAML file of an experiment, or the name of a domain with masks. -> also where an experiment's contact sheet goes."""
    if what.endswith((".yaml", ".yml")):
        config = load(Path(what), [*settings, *([f"data.root={root}"] if root else ())])
        return check_config(config, samples), config.results / "experiments" / config.name / "data.png"
    entry = scene_domains[what]
    domain = entry(**check_options(entry, override({}, settings), what))
    return check_domain(domain, root or data_root(), split, samples), None


def check_domain(domain: SceneDomain, root: Path, split: str, samples: int) -> Checked:
    """One split of a domain with masks. Raises CycadaError where it cannot be opened."""
    scenes = domain.load(root, split)
    classes = tuple(domain.classes)
    return Checked(
        domain.name,
        classes,
        domain.palette,
        (Part(split, len(scenes), _report(scenes, classes, samples), scenes),),
    )


def check_config(config: Config, samples: int) -> Checked:
    """All that an experiment would read of its source and target. What is wrong is noted, not raised."""
    plans = plan(config)
    root = config.data.resolved_root()
    opened: list[tuple[str, SegmentationDataset | str]] = []
    found: dict[str, Domain | SceneDomain] = {}
    for side, spec in (("source", config.data.source), ("target", config.data.target)):
        known = found["source"].classes if found else ()
        domain = (
            scene_domain(spec, side)
            if spec.name in scene_domains
            else prepared_domain(config, plans, side, known)
        )
        found[side] = domain
        splits = dict.fromkeys(
            ("train", domain.unlabelled, "test") if isinstance(domain, SceneDomain) else ("train", "test")
        )
        for split in (s for s in splits if not isinstance(domain, SceneDomain) or s in domain.splits):
            images_only = side == "target" and isinstance(domain, SceneDomain) and split == domain.unlabelled
            opened.append(
                (f"{side} {split}", _opened(domain, root, split, config.data.download, images_only))
            )
    named = found["source"] if found["source"].classes else found["target"]
    classes, palette = tuple(named.classes), getattr(named, "palette", ())
    parts = tuple(
        Part(title, 0, _report(None, classes, 0), fault=scenes)
        if isinstance(scenes, str)
        else Part(title, len(scenes), _report(scenes, classes, samples), scenes)
        for title, scenes in opened
    )
    try:
        agreed(found["source"].classes, found["target"].classes)
    except CycadaError as error:
        parts += (Part("classes", 0, _report(None, classes, 0), fault=str(error)),)
    return Checked(f"{config.data.source.name} -> {config.data.target.name}", classes, palette, parts)


def _opened(
    domain: Any, root: Path, split: str, download: bool, images_only: bool
) -> SegmentationDataset | str:
    """A split, or why it cannot be opened. images_only: an unlabelled target, whose masks need not be there, but are looked at."""
    try:
        return (
            domain.load(root, split)
            if isinstance(domain, SceneDomain)
            else Pictures(domain.load(root, split, download))
        )
    except CycadaError as error:
        if images_only:
            try:
                images: SegmentationDataset = domain.images(root, split)
            except CycadaError as other:
                return str(other)
            return images
        return str(error)


def _report(scenes: SegmentationDataset | None, classes: tuple[str, ...], samples: int) -> DatasetReport:
    return (
        check(scenes, len(classes), evenly_spaced(len(scenes), samples))
        if scenes
        else DatasetReport.nothing(len(classes))
    )


def print_checked(checked: Checked) -> None:
    """What was found part by part, and the share of every class; of many classes the rarest and the commonest."""
    table, shares = Table(title=checked.title), Table(title="% of what is labelled")
    for column in COLUMNS:
        table.add_column(
            column,
            justify="left" if column in ("", "W x H") else "right",
            no_wrap=column == "",
            overflow="fold",
        )
    for column in ("class", *(p.title for p in checked.parts)):
        shares.add_column(column, justify="left" if column == "class" else "right")
    counted = next((p for p in checked.parts if p.report.labelled), None)
    shown = worst_and_best(counted.report.counts.tolist()) if counted else range(len(checked.classes))
    every = checked.shares()
    for rows, of in ((checked.rows(), table), ([every[k] for k in shown], shares)):
        for row in rows:
            of.add_row(*row)
    out = Console(highlight=False)
    out.print(table)
    if checked.classes and any(p.report.labelled for p in checked.parts):
        out.print(shares)
    if counted and len(shown) < len(every):
        said = f"Of {len(every):,} classes the {EACH} rarest and the {EACH} commonest of what was read of {counted.title}."
        out.print(said, soft_wrap=True)
    for p in checked.parts:
        for line in p.notes(checked.classes):
            print(f"warning: {p.title}: {line}", file=sys.stderr)
        if p.scenes and p.scenes.left_out:
            out.print(f"{p.title}: left out: {listed(p.scenes.left_out)}", soft_wrap=True)
        if p.skipped:
            out.print(
                f"{p.title}: {len(p.skipped)} bad pairs are left out: {', '.join(list(p.skipped)[:20])}",
                soft_wrap=True,
            )
