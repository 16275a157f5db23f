"""Every table of the report as plain cells, once; Markdown, LaTeX and the page only dress them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from cycada.core.errors import list_some
from cycada.metrics.many_classes import EACH, most_confused, worst_and_best
from cycada.render.table import NONE, Table
from cycada.report.metric import Metric
from cycada.report.published import Published, common_flags
from cycada.report.rows import Variant
from cycada.report.selection import RowChoice, StepChoices
from cycada.report.semantics import DRIFT, PERCENT, UNSEEN, Distance, SharedTranslation, drift, missing
from cycada.report.table import Mean, TableRow, covers, mean_by_class

MIOU = (
    "mIoU: counts are added over all pixels of all test images at the masks' own size; then the mean of IoU over the classes that "
    "the truth of all of them holds, the same for every method, seed and resample. The last column but one says how many images and "
    "classes those are. A resample of the bootstrap adds the counts of the images that it drew."
)
OTHERS = {"fwiou": "fwIoU", "pixel_accuracy": "pixel accuracy", "mean_class_accuracy": "class accuracy"}
"""The other scores of scenes, and how they are written."""


def _minus(text: str) -> str:
    return text.replace("-", "−")


def p_value(p: float | None) -> str:
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def signed(mean: Mean | None) -> str:
    return (
        NONE
        if mean is None
        else _minus(f"{mean.mean:+.1f}") + ("" if mean.error is None else f" ± {mean.error:.1f}")
    )


def cell(mean: Mean | None, digits: int = 1) -> str:
    if mean is None:
        return NONE
    return _minus(f"{mean.mean:.{digits}f}") + ("" if mean.error is None else f" ± {mean.error:.{digits}f}")


def name(line: TableRow) -> str:
    return f"{line.row.name} *" if line.row.oracle else line.row.name


def main(lines: Sequence[TableRow], reference: str) -> Table:
    """Score, gain, tests; of scenes also over how many images and classes."""
    rows = []
    metric = lines[0].row.metric
    for line in lines:
        per_seed = ", ".join(f"{v:.1f}" for v in line.target.values.values())
        n, over = (
            str(len(line.target.values)),
            (" / ".join(map(str, averaged_over(line.row))),) if metric.of_pixels else (),
        )
        rows.append(
            (
                name(line),
                str(line.target),
                n,
                signed(line.gain),
                *_test_cells(line, reference),
                *over,
                per_seed,
            )
        )
    notes = [
        f"Target {metric.word} in %, last step: no checkpoint was chosen. ± is the standard error over seeds (n - 1); one seed has none. "
        "Gain is over the source-only network of the same seed.",
        f"Difference: row less '{reference}', in points, over the seeds that both have, with the 95 % interval of the bootstrap.",
        *covers(lines).values(),
    ]  # fmt: skip
    if metric.of_pixels:
        notes.insert(1, " ".join([MIOU, *left_out([line.row for line in lines])]))
    over_heads = ("images / classes",) if metric.of_pixels else ()
    if any(line.row.oracle for line in lines):
        notes.append(
            "* An oracle, trained with target labels: no result, and no bound on rows with more steps. Never set in bold."
        )
    heads = (
        "method", f"target {metric.word}", "n", "gain over source only",
        f"difference to {reference}", "p, images (Holm)", "p, seeds (Holm)", *over_heads, "by seed",
    )  # fmt: skip
    bold = frozenset((i, 1) for i, line in enumerate(lines) if line.best)
    return Table("results", "Results", heads, rows, bold, tuple(notes))


def averaged_over(row: Variant) -> tuple[int, str]:
    """Test images, and how many classes mIoU is the mean of: `19`, or `18 to 19` where seeds differ."""
    records = [o.last for o in row.outcomes]
    classes = sorted({int(r.scores["target"]["classes_averaged"]) for r in records})
    return records[0].manifest["images"]["target test"], str(classes[0]) if len(
        classes
    ) == 1 else f"{classes[0]} to {classes[-1]}"


def left_out(rows: Sequence[Variant]) -> list[str]:
    """A sentence for every group of rows whose test set lacks the same classes, which no mean is over; rows without such say nothing."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        last = row.outcomes[0].last
        shares = last.scores["target"].get("class_accuracy", ())
        names = last.classes or tuple(map(str, range(len(shares))))
        absent = [name for name, share in zip(names, shares, strict=True) if share is None]
        over, what = (
            f"Over {len(names) - len(absent)} of {len(names)} classes",
            "pixel" if row.metric.of_pixels else "image",
        )
        groups.setdefault(
            f"{over}; no {what} of the test set is: {list_some(absent)}." if absent else "", []
        ).append(row.name)
    whose = len(groups) > 1
    return [f"{', '.join(names)}: {said}" if whose else said for said, names in groups.items() if said]


def class_sheet(lines: Sequence[TableRow], reference: str) -> Table:
    """IoU of every class, and the other scores that segmentation is reported by; means over seeds.

    Of many classes the reference's worst and best.
    """
    means = {line.row.name: mean_by_class([o.last for o in line.row.outcomes]) for line in lines}
    ruler = means[reference]
    names = lines[0].row.outcomes[0].last.classes or tuple(
        map(str, range(0 if ruler is None else len(ruler)))
    )
    shown = list(range(len(names))) if ruler is None else worst_and_best(ruler.tolist())
    rows = []
    for line in lines:
        found = means[line.row.name]
        by_class = [NONE if found is None or math.isnan(found[k]) else f"{found[k]:.1f}" for k in shown]
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
        "In %, on the target's test images at the masks' own size, last step, mean over seeds. IoU of a class: right pixels over those "
        "that are or were called so. fwIoU: the mean of IoU weighted by how often a class occurs; class accuracy: the mean of the "
        "shares of each class's pixels that were found. – where the truth does not hold a class.",
        *left_out([line.row for line in lines]),
    ]  # fmt: skip
    if len(shown) < len(names):
        notes.append(
            f"Of {len(names)} classes the {EACH} worst and the {EACH} best of '{reference}', lowest first; table.json has all."
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
    """The commonest errors of a row, counts of its seeds added: for more classes than a matrix can name. None without an error."""
    counts = [o.last.confusion["target"] for o in row.outcomes if "target" in o.last.confusion]
    if not counts or len({c.shape for c in counts}) > 1:
        return None
    classes = row.outcomes[0].last.classes or tuple(map(str, range(len(counts[0]))))
    found = most_confused(np.sum(counts, axis=0), most)
    rows = [(classes[e.true], classes[e.said], f"{e.count:,}", f"{100 * e.share:.0f}") for e in found]
    what = "pixels" if row.metric.of_pixels else "images"
    notes = (f"The {len(rows)} largest of {row.name}, counts added over its seeds.",)
    heads = ("true class", "called", what, "% of the class")
    return Table("errors", f"The commonest errors of {row.name}", heads, rows, notes=notes) if rows else None


def mean_of(row: Variant, key: str) -> Mean | None:
    """Another score of the target, over seeds."""
    return Mean.of({o.seed: s for o in row.outcomes if (s := o.last.score(name=key)) is not None})


def _test_cells(line: TableRow, reference: str) -> tuple[str, str, str]:
    test = line.test
    if test is None:
        return "reference" if line.row.name == reference else NONE, NONE, NONE
    difference, interval = test.difference, test.bootstrap
    shown = NONE if difference is None else _minus(f"{difference.mean:+.1f}")
    if interval:
        shown += _minus(f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]")
    tests = (
        (interval.p if interval else None, test.bootstrap_holm, "bootstrap"),
        (test.wilcoxon, test.wilcoxon_holm, "wilcoxon"),
    )
    images, seeds = (
        f"not tested: {test.why[k]}" if p is None else f"{p_value(p)} ({p_value(holm)})"
        for p, holm, k in tests
    )
    return shown, images, seeds


def published_sheet(entries: Sequence[Published], metric: Metric) -> Table:
    """Theirs beside ours."""
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
        f"{metric.title} in %. A number in this table was not measured here. Every way in which it is known to differ from our protocol, "
        "or not known to agree, is flagged; a number with a flag is context and not a competitor.",
        "Status: read (the number was seen in print or in a file), recalled (from memory), recalled and checked (agrees with a read one).",
    ]
    if common:
        notes.insert(1, f"True of all of them: {'; '.join(common)}.")
    heads = ("method", "published", "ours, same method", "does not match", "network", "source", "status")
    return Table("published", "Published numbers", heads, rows, notes=tuple(notes))


def step_sheets(steps: Sequence[StepChoices]) -> list[Table]:
    """The score of each choice of step, and its regret."""
    word = steps[0].row.metric.word
    criteria = list(dict.fromkeys(name for s in steps for name in s.choices if name != "last"))
    heads = ("method", "evaluations", "last", *(c.replace("_", " ") for c in criteria), "oracle *")
    accuracy, regret = [], []
    for s in steps:
        shown = [s.choices.get(c) for c in ("last", *criteria)]
        label = f"{s.row.name} *" if s.row.oracle else s.row.name
        accuracy.append(
            (label, str(s.evaluations), *(cell(c.accuracy if c else None) for c in shown), cell(s.oracle))
        )
        regret.append((label, str(s.evaluations), *(cell(c.regret if c else None) for c in shown), "0"))
    note = (
        "Evaluations: how many there were to choose from. Last is what the results table shows. Each criterion chooses, without target "
        "labels, the evaluation at which it was highest. "
        "* The oracle chooses with target labels: a bound, never a result. A method marked * was trained with them."
    )
    return [
        Table(
            "selection_accuracy",
            f"Target {word} where each criterion would have stopped",
            heads,
            accuracy,
            notes=(note,),
        ),
        Table(
            "selection_regret",
            "Regret of each criterion, in points",
            heads,
            regret,
            notes=("Oracle less chosen, mean over seeds.",),
        ),
    ]


def row_sheet(choices: Sequence[RowChoice], metric: Metric) -> Table:
    """Which row each criterion would choose."""
    rows = []
    for c in choices:
        counted = {row: list(c.chosen.values()).count(row) for row in dict.fromkeys(c.chosen.values())}
        chosen = ", ".join(
            row if len(c.chosen) == 1 else f"{row} ({n} of {len(c.chosen)})" for row, n in counted.items()
        )
        rows.append((c.criterion.replace("_", " "), cell(c.choice.accuracy), cell(c.choice.regret), chosen))
    note = (
        "Among the rows (oracles left out), seed by seed, by each criterion's value at the last step. Regret: the best row of each "
        "seed less the chosen one. Values of networks that were trained by different losses are comparable with caution only."
    )
    return Table(
        "selection_rows", "Choosing the method without target labels", ("criterion", f"target {metric.word}", "regret", "chooses"),
        rows, notes=(note,),
    )  # fmt: skip


def drift_sheet(groups: Iterable[SharedTranslation], metric: Metric) -> Table:
    """Semantic drift, once a translation."""
    found = [(g, drift(g)) for g in groups]
    keys = [k for k in DRIFT if any(values[k] for _, values in found)]
    rows = [(g.title, *(cell(values[k], 1 if k in PERCENT else 3) for k in keys)) for g, values in found]
    heads = ("translation of", *(DRIFT[k][0] + (", %" if k in PERCENT else "") for k in keys))
    notes = [f"{DRIFT[k][0]}: {DRIFT[k][1].format(**vars(metric))}" for k in keys]
    blind: dict[str, list[str]] = {}
    for group, _ in found if not metric.of_pixels else ():
        if said := missing(group):
            blind.setdefault(said, []).append(group.title)
    for said, titles in blind.items():
        whose = f" ({'; '.join(titles)})" if len(blind) > 1 else ""
        notes.append(
            f"f_s{whose} hardly ever answers {said}: it does not know them there, unless the target has so few. {UNSEEN}"
        )
    return Table("drift", "Semantic drift", heads, rows, notes=tuple(notes))


def distance_sheet(distances: Sequence[Distance]) -> Table:
    """A-distances."""
    metric = distances[0].row.metric
    rows = [(d.row.name, cell(d.source_target, 2), cell(d.translated_target, 2)) for d in distances]
    note = (
        "Proxy A-distance 2 (1 - 2 err) of the task network's features (Ben-David et al. 2007); err is of a logistic regression that "
        f"tells the domains apart, on the half of the {metric.places} that it was not fitted on. 0: they look alike, 2: a line parts them."
        + (
            " Places of one image may lie in both halves, which makes the domains look further apart."
            if metric.of_pixels
            else ""
        )
    )
    return Table(
        "distance", "A-distance", ("method", "source, target", "translated, target"), rows, notes=(note,)
    )
