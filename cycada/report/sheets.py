"""The tables of the report as plain cells, from which the page, Markdown and LaTeX are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cycada.core.differences import differences
from cycada.core.errors import list_some
from cycada.data.development import pair_kind
from cycada.metrics.many_classes import EACH, most_confused, worst_and_best
from cycada.render.table import NONE, Table
from cycada.report import budget
from cycada.report.cells import cell, minus, name, p_value, signed
from cycada.report.metric import Metric
from cycada.report.published import Published, common_flags
from cycada.report.record import Record, usable_networks
from cycada.report.rows import Variant
from cycada.report.semantics import (
    DRIFT,
    MISSING_CLASSES,
    PERCENT,
    Distance,
    SharedTranslation,
    drift,
    missing,
)
from cycada.report.table import Mean, TableRow, covers, mean_by_class

MIOU = (
    "mIoU is the mean of IoU (intersection over union) over the classes that the true masks of all test "
    "images hold: the same classes for every method, seed and resample. The counts are first added over all "
    "pixels of all test images, at the masks' own size. The column `images / classes` says how many images "
    "and classes these are. A resample of the bootstrap adds the counts of the images that it drew."
)
PAIRS = {
    "development": "A development pair: recipes are settled by looking at its test scores, so that they are "
    "no evidence of how well a recipe does on another pair.",
    "evaluation": "An evaluation pair: the recipes of this toolkit are settled on other pairs, or by seeds "
    "that are left out.",
}
"""What a kind of pair means, as a note below the table."""
OTHERS = {"fwiou": "fwIoU", "pixel_accuracy": "pixel accuracy", "mean_class_accuracy": "class accuracy"}
"""The other scores of segmentation, and how tables write them."""


NOT_TESTED = "not tested: "
"""The beginning of a cell without a p value, before the reason."""
REFERENCE = "reference"
"""The cell of the reference in the columns that compare with it."""


def without_empty_columns(sheet: Table) -> Table:
    """Return a table without the columns that say nothing of any row.

    These are columns of dashes, and tests that no row has for one and the same reason, which becomes a note.
    """
    kept, notes = [0], []
    for i, head in enumerate(sheet.heads):
        words = {row[i] for row in sheet.rows} - {NONE, REFERENCE}
        if i and len(words) == 1 and next(iter(words)).startswith(NOT_TESTED):
            notes.append(f"{head}: {next(iter(words))}.")
        elif i and words:
            kept.append(i)
    rows = [tuple(row[i] for i in kept) for row in sheet.rows]
    bold = frozenset((r, kept.index(i)) for r, i in sheet.bold if i in kept)
    heads = tuple(sheet.heads[i] for i in kept)
    return replace(sheet, heads=heads, rows=rows, bold=bold, notes=(*sheet.notes, *notes))


def name_sheet(rows: Sequence[Variant], reference: Variant) -> Table:
    """Return the table that says what each row's name stands for: its stages, and how it was trained."""
    theirs = reference.outcomes[0].last
    cells = [
        (
            row.name,
            row.outcomes[0].last.label,
            " → ".join(record.stage for record in row.outcomes[0].chain),
            REFERENCE if row is reference else _changes(row.outcomes[0].last, theirs),
        )
        for row in rows
    ]
    heads = ("name", "method of the last stage", "stages", f"settings that differ from {reference.name}")
    return Table("names", "Names", heads, cells)


def _changes(ours: Record, theirs: Record) -> str:
    """Return the settings of the stages that both runs have, and of their networks, that differ, in words."""
    one, other = _settings(ours), _settings(theirs)
    both = one["stages"].keys() & other["stages"].keys()
    shared = [{name: s for name, s in c["stages"].items() if name in both} for c in (one, other)]
    changes = differences(
        *(
            {
                "networks": usable_networks(c["networks"], [s["method"] for s in stages.values()]),
                "stages": stages,
            }
            for c, stages in zip((one, other), shared, strict=True)
        )
    )
    words = [
        f"{key.removeprefix('stages.')} = {_short(a)}, not {_short(b)}" for key, (a, b) in changes.items()
    ]
    return list_some(words, 4) if words else NONE


def _settings(record: Record) -> dict[str, Any]:
    """Return the networks and the stages that led to a run, as its config.yaml holds them."""
    chain = {record.stage, *(ancestor.stage for ancestor in record.ancestors())}
    stages = {name: stage for name, stage in record.config["stages"].items() if name in chain}
    return {"networks": record.config.get("networks", {}), "stages": stages}


def _short(value: Any) -> str:
    return "the default" if value is None else str(value)[:40]


def results_sheet(lines: Sequence[TableRow], reference: str) -> Table:
    """Return the table of results: score, gain, tests and training of each row.

    For segmentation there is a column with the numbers of images and classes that mIoU is a mean over.
    """
    rows = []
    metric = lines[0].row.metric
    seeds = sorted({seed for line in lines for seed in line.target.values})
    for line in lines:
        values = [line.target.values.get(seed) for seed in seeds]
        per_seed = ", ".join(NONE if value is None else f"{value:.1f}" for value in values)
        n, over = (
            str(len(line.target.values)),
            (" / ".join(map(str, averaged_over(line.row))),) if metric.over_classes else (),
        )
        rows.append(
            (
                name(line),
                str(line.target),
                n,
                signed(line.gain),
                *_test_cells(line, reference),
                *over,
                *line.budget.cells(),
                per_seed,
            )
        )
    notes = [
        f"Target {metric.word} is in %, at the last step: no target label was used in training, but for an "
        "oracle's, and no checkpoint was chosen by its score. n is the "
        "number of seeds. ± is the standard error over seeds; one seed has none. The gain is compared with "
        "the source-only network of the same seed.",
        f"Difference: the row minus '{reference}', in points, over the seeds that both have, with the 95 % "
        "interval of the bootstrap in brackets.",
        *covers(lines).values(),
        budget.NOTE,
    ]
    notes.insert(1, PAIRS[pair_kind(*lines[0].row.outcomes[0].last.domains)])
    if metric.over_classes:
        notes.insert(1, " ".join([MIOU, *left_out([line.row for line in lines])]))
    over_heads = ("images / classes",) if metric.over_classes else ()
    if any(line.row.oracle for line in lines):
        notes.append(
            "* An oracle, which was trained with target labels: it is not a result, and not a bound on rows "
            "with more training steps. It is never set in bold."
        )
    heads = (
        "method",
        f"target {metric.word}",
        "n",
        "gain over source only",
        f"difference to {reference}",
        "p, images (Holm)",
        "p, seeds (Holm)",
        *over_heads,
        *budget.HEADS,
        f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}",
    )
    bold = frozenset((i, 1) for i, line in enumerate(lines) if line.best)
    return Table("results", "Results", heads, rows, bold, tuple(notes))


def averaged_over(row: Variant) -> tuple[int, str]:
    """Return the numbers of test images and of classes behind mIoU; `18 to 19` classes where seeds differ."""
    records = [o.last for o in row.outcomes]
    classes = sorted({int(r.scores["target"]["classes_averaged"]) for r in records})
    number = str(classes[0]) if len(classes) == 1 else f"{classes[0]} to {classes[-1]}"
    return records[0].manifest["images"]["target test"], number


def left_out(rows: Sequence[Variant]) -> list[str]:
    """Return a sentence for each group of rows whose test sets lack the same classes, which no mean covers.

    Rows whose test set holds every class are not mentioned.
    """
    groups: dict[str, list[str]] = {}
    for row in rows:
        last = row.outcomes[0].last
        shares = last.scores["target"].get("class_accuracy", ())
        names = last.classes or tuple(map(str, range(len(shares))))
        absent = [name for name, share in zip(names, shares, strict=True) if share is None]
        item = row.metric.wording.item
        sentence = (
            f"The mean is over {len(names) - len(absent)} of {len(names)} classes; no {item} of the test set "
            f"is: {list_some(absent)}."
        )
        groups.setdefault(sentence if absent else "", []).append(row.name)
    several = len(groups) > 1
    return [
        f"{', '.join(names)}: {sentence}" if several else sentence
        for sentence, names in groups.items()
        if sentence
    ]


def class_sheet(lines: Sequence[TableRow], reference: str) -> Table:
    """Return the table of the IoU of every class and the other scores of segmentation, as means over seeds.

    Of many classes only the worst and the best of the reference are shown.
    """
    means = {line.row.name: mean_by_class([o.last for o in line.row.outcomes]) for line in lines}
    order_by = means[reference]
    names = lines[0].row.outcomes[0].last.classes or tuple(
        map(str, range(0 if order_by is None else len(order_by)))
    )
    shown = list(range(len(names))) if order_by is None else worst_and_best(order_by.tolist())
    rows = []
    for line in lines:
        ious = means[line.row.name]
        by_class = [NONE if ious is None or math.isnan(ious[k]) else f"{ious[k]:.1f}" for k in shown]
        others = [mean_of(line.row, key) for key in OTHERS]
        rows.append(
            (
                name(line),
                *by_class,
                f"{line.target.mean:.1f}",
                *(NONE if m is None else f"{m.mean:.1f}" for m in others),
            )
        )
    notes = [
        "All numbers are in %, on the target's test images at the masks' own size, at the last step, as "
        "means over seeds. IoU of a class: the correctly predicted pixels divided by all pixels that are of "
        "the class or were predicted to be. fwIoU (frequency-weighted): the mean of IoU weighted by how "
        "often a class occurs. Class accuracy: the mean over classes of the share of a class's pixels that "
        "were predicted correctly. – stands where the true masks do not hold a class.",
        *left_out([line.row for line in lines]),
    ]
    if len(shown) < len(names):
        notes.append(
            f"Of {len(names)} classes the {EACH} worst and the {EACH} best of '{reference}' are shown, "
            "lowest first; table.json has all."
        )
    heads = ("method", *(names[k] for k in shown), "mIoU", *OTHERS.values())
    return Table(
        "class_iou",
        "IoU of every class" if len(shown) == len(names) else "IoU of classes",
        heads,
        rows,
        notes=tuple(notes),
    )


def error_sheet(row: Variant, most: int = 20) -> Table | None:
    """Return the table of a row's most frequent errors, for more classes than a confusion matrix can name.

    Args:
        row: The row; the counts of its seeds are added.
        most: The largest number of errors to list.

    Returns:
        The table, or None where there is no error.
    """
    counts = [o.last.confusion["target"] for o in row.outcomes if "target" in o.last.confusion]
    if not counts or len({c.shape for c in counts}) > 1:
        return None
    classes = row.outcomes[0].last.classes or tuple(map(str, range(len(counts[0]))))
    errors = most_confused(np.sum(counts, axis=0), most)
    rows = [(classes[e.true], classes[e.predicted], f"{e.count:,}", f"{100 * e.share:.0f}") for e in errors]
    items = f"{row.metric.wording.item}s"
    notes = (f"The {len(rows)} most frequent errors of {row.name}, with the counts of its seeds added.",)
    heads = ("true class", "predicted class", items, "% of the class")
    title = f"The most frequent errors of {row.name}"
    return Table("errors", title, heads, rows, notes=notes) if rows else None


def mean_of(row: Variant, key: str) -> Mean | None:
    """Return the mean over seeds of another target score, named by its key in scores.json."""
    return Mean.of({o.seed: s for o in row.outcomes if (s := o.last.score(name=key)) is not None})


def _test_cells(line: TableRow, reference: str) -> tuple[str, str, str]:
    test = line.test
    if test is None:
        return REFERENCE if line.row.name == reference else NONE, NONE, NONE
    difference, interval = test.difference, test.bootstrap
    shown = NONE if difference is None else minus(f"{difference.mean:+.1f}")
    if interval:
        shown += minus(f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]")
    tests = (
        (interval.p if interval else None, test.bootstrap_holm, "bootstrap"),
        (test.wilcoxon, test.wilcoxon_holm, "wilcoxon"),
    )
    images, seeds = (
        f"{NOT_TESTED}{test.why[k]}" if p is None else f"{p_value(p)} ({p_value(holm)})"
        for p, holm, k in tests
    )
    return shown, images, seeds


def published_sheet(entries: Sequence[Published], metric: Metric) -> Table:
    """Return the table of published results next to our rows."""
    common = common_flags(entries)
    rows = []
    for e in entries:
        value = f"{e.value:g}" + (f" ± {e.error:g}" if e.error is not None else "")
        flags = [f for f in e.flags if f not in common]
        ours = f"{e.ours.target} ({e.ours.row.name})" if e.ours else NONE
        rows.append(
            (e.method, value, ours, "; ".join(flags) or NONE, e.architecture or NONE, e.source, e.status)
        )
    notes = [
        f"{metric.title} in %. The published numbers were not measured here. The column `does not match` "
        "lists every way in which their protocol is known to differ from ours, or is not known to agree; a "
        "number with such a flag is context, not a fair comparison.",
        "Status: read (the number was seen in print or in a file), recalled (it was written from memory), or "
        "recalled and checked (it was written from memory, and agrees with one that was read).",
    ]
    if common:
        notes.insert(1, f"All of the published numbers: {'; '.join(common)}.")
    heads = ("method", "published", "ours, same method", "does not match", "network", "source", "status")
    return Table("published", "Published numbers", heads, rows, notes=tuple(notes))


def drift_sheet(groups: Iterable[SharedTranslation], metric: Metric) -> Table:
    """Return the table of semantic drift, with one row for each translation."""
    scored = [(g, drift(g)) for g in groups]
    keys = [k for k in DRIFT if any(values[k] for _, values in scored)]
    rows = [(g.title, *(cell(values[k], 1 if k in PERCENT else 3) for k in keys)) for g, values in scored]
    heads = ("translation of", *(DRIFT[k][0] + (", %" if k in PERCENT else "") for k in keys))
    notes = [f"{DRIFT[k][0]}: {DRIFT[k][1].format(**vars(metric.wording))}" for k in keys]
    titles_by_classes: dict[str, list[str]] = {}
    # in a scene a class may be rare because its pixels are few
    for group, _ in scored if not metric.of_pixels else ():
        if classes := missing(group):
            titles_by_classes.setdefault(classes, []).append(group.title)
    for classes, titles in titles_by_classes.items():
        whose = f" ({'; '.join(titles)})" if len(titles_by_classes) > 1 else ""
        notes.append(
            f"f_s{whose} rarely predicts {classes}: it does not recognise them in target images, unless "
            f"the target has few images of them. {MISSING_CLASSES}"
        )
    return Table("drift", "Semantic drift", heads, rows, notes=tuple(notes))


def distance_sheet(distances: Sequence[Distance]) -> Table:
    """Return the table of A-distances between the domains' features."""
    wording = distances[0].row.metric.wording
    rows = [(d.row.name, cell(d.source_target, 2), cell(d.translated_target, 2)) for d in distances]
    note = (
        "Proxy A-distance 2 (1 - 2 err) of the task network's features (Ben-David et al. 2007). err is the "
        f"error of a logistic regression that tells the domains apart, on {wording.domain_classifier} that "
        "it was not fitted on. 0: the domains cannot be told apart; 2: a hyperplane separates "
        f"them.{wording.distance_caution}"
    )
    return Table(
        "distance", "A-distance", ("method", "source, target", "translated, target"), rows, notes=(note,)
    )
