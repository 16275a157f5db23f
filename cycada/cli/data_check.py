"""The checks of `cycada data check`: what the domains of an experiment hold, and whether it is sound."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cycada.config.recipes import SUFFIXES, recipes
from cycada.config.schema import Config, data_root, load
from cycada.core.console import make_plain_console
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.registry import check_options
from cycada.core.yaml_files import override
from cycada.data import Domain, ImageSet, SegmentationDomain, domains, segmentation_domains
from cycada.data.domain import check_loaded
from cycada.data.doubts import group_doubts, summarize_left_out
from cycada.data.image_set import evenly_spaced
from cycada.data.inspect import DatasetReport, Section, check_pairs, write_contact_sheet
from cycada.data.segmentation import Palette
from cycada.data.shared_pictures import find_shared_pictures
from cycada.metrics.many_classes import EACH, worst_and_best
from cycada.planning.build import build_domain, check_same_classes
from cycada.planning.class_warnings import (
    warn_of_absent_classes,
    warn_of_absent_labels,
    warn_of_contradictions,
    warn_of_missing_labels,
    warn_of_names,
    warn_of_one_class,
    warn_of_palettes,
)
from cycada.planning.counts import describe_part
from cycada.planning.plan import plan
from cycada.planning.scaling import warn_of_scaling

COLUMNS = ("", "pairs", "skipped", "read", "bad", "labels", "ignored", "W x H")
SHOWN = 4
"""Number of pairs from each part in a contact sheet."""


@dataclass(frozen=True)
class Part:
    """One split of one domain, of which a sample was read.

    Attributes:
        title: What the part is called, such as "source train".
        count: The number of pairs in the split.
        report: What the sample showed.
        dataset: The data of the split, if it could be opened.
        fault: Why it could not be opened.
        whole: Number of images of the published split; 0 where there is none.
        scaling: Warnings of how an experiment scales the images.
    """

    title: str
    count: int
    report: DatasetReport
    dataset: ImageSet | None = None
    fault: str = ""
    whole: int = 0
    scaling: Sequence[str] = ()

    @property
    def skipped(self) -> Mapping[str, str]:
        """The bad pairs that are left out: name -> reason."""
        return self.dataset.skipped if self.dataset else {}

    def notes(self, classes: Sequence[str]) -> list[str]:
        """List what a user should know about this part before training: doubtful files and absent classes."""
        if self.dataset is None:
            return []
        notes = [*group_doubts(self.dataset.doubts(self.report.sound)), *self.scaling]
        notes += warn_of_missing_labels(self.title, self.dataset, classes)
        if self.dataset.image_labels is not None:
            notes += warn_of_one_class(classes) if self.title.endswith("train") else []
            notes += warn_of_absent_labels(self.dataset, classes)
            notes += warn_of_contradictions(self.dataset, classes)
        elif self.report.labelled:
            notes += warn_of_absent_classes(classes, self.report.counts, self.report.read, self.count)
        return notes


@dataclass(frozen=True)
class Checked:
    """What a check of data found.

    Attributes:
        title: The domain, or both domains of the experiment.
        classes: The names of the source's classes.
        palette: The colours of the source's classes.
        parts: The splits, in the order in which they were read.
    """

    title: str
    classes: tuple[str, ...]
    palette: Palette
    parts: tuple[Part, ...]

    @property
    def faults(self) -> list[str]:
        """The faults in words, each with the names of the part and of the file."""
        return [
            f"{p.title}: {fault}" for p in self.parts for fault in ([p.fault] if p.fault else p.report.faults)
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """Return one row per part, with the columns of `COLUMNS`."""
        rows = []
        for p in self.parts:
            r = p.report
            pixels = int(r.counts.sum()) + r.ignored
            # the sizes of the files themselves, before the images were scaled
            own_sizes = p.dataset.sizes(r.sound) if p.dataset else {}
            sizes = ", ".join(f"{size} ({n})" for size, n in Counter(own_sizes or r.sizes).most_common(3))
            ignored = f"{100 * r.ignored / pixels:.2f} %" if pixels else "-"
            cells = (
                p.count,
                len(p.skipped),
                r.read + len(r.faults),
                len(r.faults),
                r.labelled,
                ignored,
                sizes or "-",
            )
            rows.append((p.title, *map(str, cells)))
        return rows

    def shares(self) -> list[tuple[str, ...]]:
        """Return one row per class: its name, and its percentage of all labels in each part."""
        totals = [max(int(p.report.counts.sum()), 1) for p in self.parts]
        rows = []
        for k, name in enumerate(self.classes):
            shares = [100 * p.report.counts[k] / total for p, total in zip(self.parts, totals, strict=True)]
            labelled = [p.report.labelled for p in self.parts]
            cells = (f"{share:.2f} %" if any_ else "-" for share, any_ in zip(shares, labelled, strict=True))
            rows.append((name, *cells))
        return rows

    def draw(self, path: Path) -> bool:
        """Draw a contact sheet of sound pairs, and return whether there were any."""
        sections = []
        for p in self.parts:
            rows = (
                [p.report.sound[i] for i in evenly_spaced(len(p.report.sound), SHOWN)]
                if p.report.sound
                else []
            )
            if p.dataset and rows:
                sections.append(Section(p.title, p.dataset, rows))
        if sections:
            write_contact_sheet(sections, self.classes, self.palette, path)
        return bool(sections)


def check_named(
    what: str, settings: Sequence[str], root: Path | None, split: str | None, samples: int
) -> tuple[Checked, Path | None]:
    """Check an experiment, by its YAML file or the name of a recipe, or a domain with masks, by its name.

    Args:
        what: The YAML file or the name.
        settings: Settings that replace those of the file, or options of the domain, as KEY=VALUE.
        root: The data root, if it is not the usual one.
        split: The split of a domain, None for train; an experiment's are all checked.
        samples: How many pairs to read of each split.

    Returns:
        The result, and the default file for the contact sheet of an experiment (None for a domain).

    Raises:
        CycadaError: There is no such file or domain, a domain cannot be opened, or a split of an experiment
            is named.
    """
    if what.endswith(SUFFIXES) or (what not in segmentation_domains and what in recipes()):
        if split:
            raise CycadaError(
                f"--split: found {split}, expected none beside an experiment, whose splits are all checked."
            )
        config = load(Path(what), [*settings, *([f"data.root={root}"] if root else ())])
        return check_config(config, samples), config.results / "experiments" / config.name / "data.png"
    if what in domains:
        raise CycadaError(
            f"{what}: found a domain with labels of images, expected one with masks. Its images are checked "
            f"through an experiment that has it as data.source or data.target: `cycada data check FILE.yaml`."
        )
    if what not in segmentation_domains:
        raise CycadaError(
            f"{shown(what)}: found neither a config (FILE.yaml), a shipped recipe, nor a domain with masks "
            f"of this name.{nearest(what, segmentation_domains)} A folder of your own is checked through an "
            "experiment, such as `cycada data check own_images data.root=FOLDER`."
        )
    entry = segmentation_domains[what]
    domain = entry(**check_options(entry, override({}, settings), what))
    return check_domain(domain, root or data_root(), split or "train", samples), None


def check_domain(domain: SegmentationDomain, root: Path, split: str, samples: int) -> Checked:
    """Check one split of a domain with masks.

    Args:
        domain: The domain.
        root: The data root.
        split: The name of the split.
        samples: How many pairs to read.

    Raises:
        CycadaError: The split cannot be opened.
    """
    dataset = domain.load(root, split)
    classes = tuple(domain.classes)
    return Checked(
        domain.name,
        classes,
        domain.palette,
        (
            Part(
                split,
                len(dataset),
                _report(dataset, classes, samples),
                dataset,
                whole=domain.counts.get(split, 0),
            ),
        ),
    )


def check_config(config: Config, samples: int) -> Checked:
    """Check all data that an experiment would read from its source and its target.

    Faults of the data go into the result and raise no error.

    Args:
        config: The experiment.
        samples: How many pairs to read of each split.
    """
    plans = plan(config)
    root, shapes = config.data.resolved_root(), config.shapes()
    opened: list[tuple[str, int, ImageSet | str, Sequence[str]]] = []
    domains_by_side: dict[str, Domain | SegmentationDomain] = {}
    for side in ("source", "target"):
        known_classes = domains_by_side["source"].classes if domains_by_side else ()
        domain = build_domain(config, plans, side, known_classes)
        domains_by_side[side] = domain
        for split in dict.fromkeys(("train", domain.unlabelled, "test")):
            if split in domain.splits:
                images_only = side == "target" and split == domain.unlabelled
                found = _opened(domain, root, split, config.data.download, images_only)
                scaling = (
                    () if isinstance(found, str) else warn_of_scaling(found, shapes[side], config.data.resize)
                )
                opened.append((f"{side} {split}", domain.counts.get(split, 0), found, scaling))
    named = domains_by_side["source"] if domains_by_side["source"].classes else domains_by_side["target"]
    classes, palette = tuple(named.classes), getattr(named, "palette", ())
    parts = tuple(
        Part(title, 0, _report(None, classes, 0), fault=dataset)
        if isinstance(dataset, str)
        else Part(title, len(dataset), _report(dataset, classes, samples), dataset, "", whole, scaling)
        for title, whole, dataset, scaling in opened
    )
    try:
        check_same_classes(domains_by_side["source"].classes, domains_by_side["target"].classes)
    except CycadaError as error:
        parts += (Part("classes", 0, _report(None, classes, 0), fault=str(error)),)
    return Checked(f"{config.data.source.name} -> {config.data.target.name}", classes, palette, parts)


def _opened(domain: Any, root: Path, split: str, download: bool, images_only: bool) -> ImageSet | str:
    """Return a split, or the reason why it cannot be opened.

    `images_only` is for an unlabelled target: its masks may be absent, but are checked where they exist.
    """
    found = ""
    for labels in (True, False) if images_only else (True,):
        try:
            opened = domain.open(root, split, download, labels)
            if isinstance(domain, Domain):
                return check_loaded(opened, domain.classes, f"domain '{domain.name}', {split}")
            return opened  # type: ignore[no-any-return] # of either kind
        except CycadaError as error:
            found = str(error)
    return found


def _report(dataset: ImageSet | None, classes: tuple[str, ...], samples: int) -> DatasetReport:
    return (
        check_pairs(dataset, len(classes), evenly_spaced(len(dataset), samples))
        if dataset
        else DatasetReport.nothing(len(classes))
    )


def print_checked(checked: Checked) -> None:
    """Print one row per part, and the percentage of each class; of many classes the rarest and commonest."""
    table, shares = Table(title=checked.title), Table(title="% of all labels")
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
    for row in checked.rows():
        table.add_row(*row)
    for k in shown:
        shares.add_row(*every[k])
    out = make_plain_console()
    out.print(table)
    if checked.classes and any(p.report.labelled for p in checked.parts):
        out.print(shares)
    if counted and len(shown) < len(every):
        out.print(
            f"Of {len(every):,} classes the {EACH} rarest and the {EACH} commonest of what was read of "
            f"{counted.title}.",
            soft_wrap=True,
        )
    _print_notes(checked, out)


def _print_notes(checked: Checked, out: Console) -> None:
    """Print what is in doubt, and what is left out."""
    for line in warn_of_names(checked.classes):
        print(f"warning: data: {line}", file=sys.stderr)
    sets = {p.title: p.dataset for p in checked.parts if p.dataset}
    warnings, remarks = find_shared_pictures(sets)
    warnings += warn_of_palettes(sets, checked.classes)
    for line in (*(f"warning: {warning}" for warning in warnings), *remarks):
        print(line, file=sys.stderr)
    for p in checked.parts:
        for line in p.notes(checked.classes):
            print(f"warning: {p.title}: {line}", file=sys.stderr)
        if p.dataset and (part := describe_part(p.dataset, p.whole)):
            out.print(f"{p.title}: {len(p.dataset):,} images; {part}")
        if p.dataset and p.dataset.left_out:
            out.print(f"{p.title}: left out: {summarize_left_out(p.dataset.left_out)}", soft_wrap=True)
        if p.skipped:
            out.print(
                f"{p.title}: {len(p.skipped)} bad pairs are left out: {', '.join(list(p.skipped)[:20])}",
                soft_wrap=True,
            )
