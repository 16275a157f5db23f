"""The report as one HTML page that holds its styles, figures and images, and loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cycada.core.errors import list_some
from cycada.metrics.many_classes import EACH, MANY
from cycada.render.escape import html_prose
from cycada.render.figure import SOURCE, TARGET, Panel
from cycada.render.table import Table
from cycada.report.cache import NO_CACHE, Cache
from cycada.report.charts import ablation, class_bars, learning_curves, loss_curves
from cycada.report.drawing import Chart, draw
from cycada.report.matrices import confusions, flip_matrices
from cycada.report.pictures import MISTAKES, Gallery, Picture, grids, mistakes, predicted_masks
from cycada.report.rows import ReportData, Variant
from cycada.report.semantics import shared
from cycada.report.sheets import left_out, name_sheet, without_empty_columns
from cycada.report.table import TableRow, choose_rows_to_draw
from cycada.report.tsne import MOST, feature_charts, rows_with_clouds

DRAWN = 8
"""The largest number of rows that have charts and pictures of their own; the tables hold all rows."""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        key: Its anchor on the page.
        title: Its heading.
        how: How to read what it shows.
        sheets: Tables.
        panels: Charts.
        more: Further charts, below the others.
        more_title: The heading of the further charts.
        pictures: Images from run folders.
        galleries: Further images, with a heading for each row.
        kind: The layout of the charts and galleries, a class of the page's stylesheet.
        absent: The text where there is nothing to show.
        legend: (kind of key, name, colour) of each entry of a legend.
    """

    key: str
    title: str
    how: str
    sheets: tuple[Table, ...] = ()
    panels: tuple[Panel, ...] = ()
    more: tuple[Panel, ...] = ()
    more_title: str = ""
    pictures: tuple[Picture, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    kind: str = "panels"
    absent: str = ""
    legend: tuple[tuple[str, str, str], ...] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.sheets or self.panels or self.pictures or self.more or self.galleries)


def sections(
    report: ReportData,
    lines: Sequence[TableRow],
    sheets: dict[str, Table],
    cache: Cache = NO_CACHE,
    pdf: bool = False,
) -> list[Section]:
    """Return the sections of the page in reading order, those included that have nothing to show.

    Args:
        report: The rows of the report.
        lines: Its main table.
        sheets: All tables by their keys.
        cache: Where charts and embeddings are kept.
        pdf: Whether each chart is drawn as PDF, too.
    """

    def drawn(charts: Iterable[Chart]) -> tuple[Panel, ...]:
        return tuple(draw(chart, cache, pdf) for chart in charts)

    rows = report.rows
    drawn_rows, other_rows = choose_rows_to_draw(lines, report.reference, DRAWN)
    of_rows = _of_rows(drawn_rows, other_rows)
    with_cloud, without_cloud = rows_with_clouds(lines, report.reference)
    reference = report.row(report.reference)
    metric = report.metric
    several = max(len(row.outcomes) for row in rows) > 1
    evaluate = "For a run of an older version, `cycada evaluate RUN` writes what is needed."
    translations = shared(drawn_rows, lambda outcome: outcome.translation)
    selection = tuple(
        sheets[k] for k in ("selection_accuracy", "selection_regret", "selection_rows") if k in sheets
    )
    source_title, target_title = report.records[0].titles
    by_seed = "Thin lines are seeds, the strong line is their mean." if several else "One seed."
    return [
        Section("results", "Results", "", sheets=(sheets["results"],)),
        Section(
            "names",
            "Names",
            f"The source domain is {source_title}, the target domain {target_title}. Networks: f_s and f_t "
            "classify source and target images; G_st translates source images to the target, G_ts the other "
            "way; d_s, d_t and d_feat are the discriminators of both domains' images and of features.",
            sheets=(without_empty_columns(name_sheet(rows, reference)),),
        ),
        Section(
            "ablation",
            "Ablation",
            f"Each bar is a row's mean target {metric.word} at the last step"
            + (". Whiskers are one standard error, dots are seeds" if several else "")
            + f". The dashed line marks the reference, {report.reference}."
            + _grey(report),
            panels=drawn([ablation(lines, report.reference)] if len(lines) > 1 else []),
            kind="wide",
            absent="There is one row only.",
        ),
        Section(
            "published",
            "Published numbers",
            "",
            sheets=tuple(s for k, s in sheets.items() if k == "published"),
            absent="The toolkit has no published number for this pair of domains.",
        ),
        Section(
            "selection",
            "Choosing without target labels",
            "Without target labels, one cannot see which step or which method is best on the target. These "
            "tables show the choices of criteria that need no target labels, next to the last step, which "
            "every other section uses, and next to an oracle that sees the labels.",
            sheets=selection,
            absent="No run here stored label-free criteria at several evaluations. New runs compute them at "
            "every evaluation.",
        ),
        Section(
            "curves",
            "Learning curves",
            f"{metric.title} on the test sets of both domains at each evaluation of a row's last stage. "
            f"{by_seed}{_of_a_sample(drawn_rows)}{of_rows}",
            panels=drawn(learning_curves(drawn_rows)),
            more=drawn(loss_curves(reference)),
            more_title=f"Losses of every stage behind {report.reference}, mean over seeds",
            legend=(
                ("line", f"{target_title} (target)", TARGET),
                ("dashes", f"{source_title} (source)", SOURCE),
            ),
            absent="The files metrics.jsonl of these runs hold no evaluations.",
        ),
        Section(
            "classes",
            "Classes",
            f"Target {metric.class_word} of each class. "
            + ("Bars are means over seeds, dots are seeds" if several else "Bars are of one seed")
            + ". The orange dash is the source-only network of the same seeds."
            + _grey(report)
            + _of_many(report)
            + of_rows
            + "".join(f" {sentence}" for sentence in left_out(rows)),
            sheets=tuple(s for k, s in sheets.items() if k == "class_iou"),
            panels=drawn(class_bars(drawn_rows)),
            absent="These runs stored no scores by class.",
        ),
        Section(
            "confusions",
            "Confusions",
            metric.wording.confusions
            + (", counts added over seeds" if several else "")
            + ". A row is a true class, a "
            "column a predicted class; numbers are % of the row, and a row adds up to 100. Everything off "
            "the diagonal is an error." + of_rows,
            sheets=tuple(s for k, s in sheets.items() if k == "errors"),
            panels=drawn(confusions(drawn_rows)),
            absent="These runs have no file confusion.json.",
        ),
        *(
            [_predictions(report, drawn_rows, of_rows)] if metric.of_pixels else []
        ),  # a class needs no picture
        _mistakes(report, lines, drawn_rows, of_rows),
        Section(
            "translations",
            "Translations",
            "From left to right: a real source image, the same image translated to the target, and "
            "translated back; a real target image, the same image translated to the source, and translated "
            "back. A good translation keeps the class (compare the first two columns) and looks like the "
            f"fourth column. One seed is shown.{of_rows}",
            pictures=tuple(grids(drawn_rows)),
            kind="pictures",
            absent="No stage here translates images, or its pictures were not kept.",
        ),
        Section(
            "drift",
            "Semantic drift",
            f"{metric.wording.drift} Everything off the diagonal is a label flip: semantic drift, because "
            "the translation keeps the source label, which may then be wrong for the task network that "
            "trains on it. Two cautions: the semantic loss trains for exactly this agreement, so check a "
            "low rate against the images above; and f_s is often wrong about real target images, so target "
            "→ source shows its own confusion, too."
            + (" Counts are added over seeds." if several else "")
            + of_rows,
            sheets=tuple(s for k, s in sheets.items() if k == "drift"),
            panels=drawn([*flip_matrices(translations), *flip_matrices(translations, "s")]),
            absent=f"No translation was analysed in these runs. {evaluate}",
        ),
        Section(
            "features",
            "Features",
            f"{metric.wording.features} A network that was trained on translated images only may well put "
            "real source images elsewhere. In t-SNE, the distance between far groups means nothing; the "
            "A-distance below is the number to trust. Test labels only colour the points."
            + (
                f" Not drawn, of more than {MOST} rows: {list_some([r.name for r in without_cloud])}."
                if without_cloud
                else ""
            ),
            sheets=tuple(s for k, s in sheets.items() if k == "distance"),
            panels=drawn(feature_charts(with_cloud, cache=cache)),
            kind="pairs",
            absent=f"No run here stored features. {evaluate}",
        ),
    ]


def _of_a_sample(rows: Sequence[Variant]) -> str:
    """Say that points before the last are of fewer images, in the rows where they are."""
    sizes = {n for row in rows for o in row.outcomes if (n := o.last.scored_images) is not None}
    if not sizes:
        return ""
    many = " or ".join(f"{n:,}" for n in sorted(sizes))
    return f" The last point is of all test images; those before it are of a sample of {many} a domain."


def _of_rows(drawn: Sequence[Variant], others: Sequence[Variant]) -> str:
    """Return a sentence on the rows that have no chart of their own; empty where there are none."""
    if not others:
        return ""
    return (
        f" {len(drawn)} of {len(drawn) + len(others)} rows are drawn: source only, the reference and the "
        "oracles first, then those of the highest scores; the table of results has all."
    )


def _predictions(report: ReportData, rows: Sequence[Variant], of_rows: str) -> Section:
    """Return the section with predicted masks (segmentation only).

    Args:
        report: The rows of the report.
        rows: The rows to show.
        of_rows: The sentence about the others.
    """
    return Section(
        "answers",
        "Predicted masks",
        "First, some target test images and their true masks; then each row's predicted masks of them and, "
        f"in white, where these are wrong (ignored pixels are never wrong). One seed is shown.{of_rows}",
        pictures=tuple(predicted_masks(rows)),
        kind="pictures",
        absent="These runs have no pictures of predicted masks.",
        legend=_colors(report),
    )


def _mistakes(
    report: ReportData, lines: Sequence[TableRow], rows: Sequence[Variant], of_rows: str
) -> Section:
    """Return the section with the worst predictions, those of the best comparable row first.

    Args:
        report: The rows of the report.
        lines: Its main table.
        rows: The rows to show.
        of_rows: The sentence about the others.
    """

    def rank(line: TableRow) -> tuple[bool, float]:
        competes = not line.row.oracle and line.row.name not in report.not_comparable
        return not competes, -line.target.mean

    ranked = [line.row for line in sorted(lines, key=rank) if line.row in rows]
    if report.metric.of_pixels:
        kind, title = "pictures", "Images of the lowest IoU"
        what = (
            "From left to right: a target test image, its true mask and its predicted mask. IoU is the mean "
            "over the classes in the image's own mask, and those of the lowest are shown."
        )
    else:
        kind, title = "thumbnails", "Most confident mistakes"
        what = (
            "Target test images with a wrong prediction: true class, predicted class and the probability of "
            f"the predicted class, at most {MISTAKES} images of each row, those of the highest probability "
            "first. Look for labels that are wrong, and for classes that look alike."
        )
    return Section(
        "mistakes",
        title,
        f"{what} Rows are ordered by score. One seed is shown; images/mistakes_target.png in its run folder "
        f"holds more.{of_rows}",
        galleries=tuple(mistakes(ranked)),
        kind=kind,
        absent="No picture of a mistake was kept: these runs made none, are read from records, or are of an "
        "older version.",
    )


def _grey(report: ReportData) -> str:
    oracles = any(row.oracle for row in report.rows)
    return " Grey marks an oracle, which was trained with target labels." if oracles else ""


def _of_many(report: ReportData) -> str:
    """Return a sentence on the classes that are left out where there are too many to show each."""
    k = len(report.row(report.reference).outcomes[0].last.classes or ())
    if k <= MANY:
        return ""
    return (
        f" Of {k:,} classes each chart shows the {EACH} worst and the {EACH} best; the file scores.json of a "
        "run has all."
    )


def _colors(report: ReportData) -> tuple[tuple[str, str, str], ...]:
    """Return the legend of the classes in the colours of their masks.

    Of many classes it holds those with the most test pixels, and says how many are left out.
    """
    record = next((r for r in report.records if r.palette and r.classes), None)
    if record is None:
        return ()
    entries = [
        ("chip", name, color) for name, color in zip(record.classes or (), record.palette or (), strict=True)
    ]
    if len(entries) <= MANY:
        return tuple(entries)
    counts = report.row(report.reference).outcomes[0].last.confusion.get("target")
    order = range(len(entries)) if counts is None else np.argsort(-counts.sum(1), kind="stable")
    return (
        *(entries[k] for k in order[:MANY]),
        ("chip", f"and {len(entries) - MANY} classes of fewer pixels", "transparent"),
    )


def page(
    title: str,
    lead: str,
    report: ReportData,
    chapters: Sequence[Section],
    facts: dict[str, Any],
    missing: Sequence[str],
) -> str:
    """Return the HTML of the page.

    Args:
        title: The heading of the page.
        lead: The sentence below the heading.
        report: The rows and their notes.
        chapters: The sections, from `sections`; empty ones are listed at the end with the reason.
        facts: Where the numbers come from, from `provenance`.
        missing: What could not be shown, in words.
    """
    environment = Environment(
        loader=PackageLoader("cycada.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [section for section in chapters if not section.empty]
    hidden = [section for section in chapters if section.empty]
    # our own markup; every name in it was escaped by matplotlib
    environment.filters["svg"] = lambda panel: Markup(panel.svg)
    environment.filters["prose"] = html_prose
    return environment.get_template("page.html.j2").render(
        title=title, lead=lead, report=report, sections=shown, hidden=hidden, facts=facts, missing=missing
    )
