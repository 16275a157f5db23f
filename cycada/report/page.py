"""One HTML page that needs nothing else: styles, figures and images are inside, and nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cycada.metrics.many_classes import EACH, MANY
from cycada.render.figure import SOURCE, TARGET, Panel
from cycada.render.table import Table
from cycada.report.charts import ablation, class_bars, learning_curves, loss_curves
from cycada.report.matrices import confusions, flip_matrices
from cycada.report.pictures import Picture, answers, grids
from cycada.report.rows import ReportData
from cycada.report.semantics import shared
from cycada.report.sheets import left_out
from cycada.report.table import TableRow
from cycada.report.tsne import clouds


@dataclass(frozen=True)
class Section:
    """A chapter of the page. how: how to read what it shows. absent: what is said where there is nothing to show."""

    key: str
    title: str
    how: str
    sheets: tuple[Table, ...] = ()
    panels: tuple[Panel, ...] = ()
    more: tuple[Panel, ...] = ()
    more_title: str = ""
    pictures: tuple[Picture, ...] = ()
    kind: str = "panels"
    absent: str = ""
    legend: tuple[tuple[str, str, str], ...] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        return not (self.sheets or self.panels or self.pictures or self.more)


def sections(report: ReportData, lines: Sequence[TableRow], sheets: dict[str, Table]) -> list[Section]:
    """The chapters, in reading order."""
    rows = report.rows
    reference = report.row(report.reference)
    metric = report.metric
    several = max(len(row.outcomes) for row in rows) > 1
    evaluate = "`cycada evaluate RUN` on a run of an older version writes what is needed."
    translations = shared(rows, lambda outcome: outcome.translation)
    selection = tuple(
        sheets[k] for k in ("selection_accuracy", "selection_regret", "selection_rows") if k in sheets
    )
    by_seed = "Thin lines are seeds, the strong line is their mean." if several else "One seed."
    return [
        Section("results", "Results", "", sheets=(sheets["results"],)),
        Section(
            "ablation", "Ablation",
            f"Each bar is a row's mean target {metric.word} at the last step"
            + (", whiskers are one standard error, dots are seeds" if several else "")
            + f". The dashed line is the reference, {report.reference}." + _grey(report),
            panels=(ablation(lines, report.reference),), kind="wide",
        ),
        Section(
            "published", "Published numbers", "", sheets=tuple(s for k, s in sheets.items() if k == "published"),
            absent="No published number on this pair of domains is on file.",
        ),
        Section(
            "selection", "Choosing without target labels",
            "What the label-free criteria would have chosen, beside the last step (which is what counts here) and the oracle.",
            sheets=selection, absent="No run here stored label-free criteria. They are computed at every evaluation of a new run.",
        ),
        Section(
            "curves", "Learning curves", f"{metric.title} on both test sets at each evaluation of a row's last stage. {by_seed}",
            panels=tuple(learning_curves(rows)), more=tuple(loss_curves(reference)),
            more_title=f"Losses of every stage behind {report.reference}, mean over seeds",
            legend=(("line", "target", TARGET), ("dashes", "source", SOURCE)), absent="metrics.jsonl of these runs holds no evaluations.",
        ),
        Section(
            "classes", "Classes",
            f"Target {metric.class_word} of each class: bars are means over seeds" + (", dots are seeds" if several else "") + "."
            + " The orange dash is the source-only network of the same seeds." + _grey(report) + _of_many(report)
            + "".join(f" {said}" for said in left_out(rows)),
            sheets=tuple(s for k, s in sheets.items() if k == "class_iou"),
            panels=tuple(class_bars(rows)), absent="No accuracies by class are stored.",
        ),
        Section(
            "confusions", "Confusions",
            metric.tested + (", counts added over seeds" if several else "") + ". A row is a true class, a column what it was "
            "called; numbers are % of the row, and a row adds up to 100. All but the diagonal is error.",
            sheets=tuple(s for k, s in sheets.items() if k == "errors"),
            panels=tuple(confusions(rows)), absent="No confusion.json in these runs.",
        ),
        *([_answers(report)] if metric.of_pixels else []),
        Section(
            "translations", "Translations",
            "Left to right: real source image, the same translated to the target, and translated back; real target image, the same "
            "translated to the source, and back. A good translation keeps the class (compare the first two columns) and looks like the "
            "fourth. One seed is shown.",
            pictures=tuple(grids(rows)), kind="pictures", absent="No stage here translates images.",
        ),
        Section(
            "drift", "Semantic drift",
            f"{metric.question} The frozen source classifier names {'them' if metric.of_pixels else 'it'} before (row) and after (column), "
            "in % of the row. Off the diagonal it sees another class, and the label that the task network is given is wrong. Two cautions: "
            "the semantic loss trains for this very agreement, so a low rate has to be checked against the images above; and f_s is often "
            "wrong about target images to begin with, so target → source shows its own confusion too."
            + (" Counts are added over seeds." if several else ""),
            sheets=tuple(s for k, s in sheets.items() if k == "drift"),
            panels=(*flip_matrices(translations), *flip_matrices(translations, "s")),
            absent=f"No translation here was analysed. {evaluate}",
        ),
        Section(
            "features", "Features",
            f"The task network's features of {metric.featured} in two dimensions (t-SNE, at most 300 {metric.places} a domain, one seed). "
            f"Where adaptation worked, target {metric.places} lie on the {metric.places} that the network was trained on, and the classes "
            "apart. A network that was trained on translated images alone may well put real source images elsewhere. "
            "Distances between far groups mean nothing in t-SNE; the "
            "A-distance below is the number to trust. Test labels colour the points and do nothing else.",
            sheets=tuple(s for k, s in sheets.items() if k == "distance"),
            panels=tuple(clouds(rows)), kind="pairs", absent=f"No run here stored features. {evaluate}",
        ),
    ]  # fmt: skip


def _answers(report: ReportData) -> Section:
    """Of scenes alone."""
    return Section(
        "answers", "Answers",
        "The first test scenes of the target and their masks, then what each row says of them and, in white, where it is wrong (what is "
        "ignored is never wrong). One seed is shown.",
        pictures=tuple(answers(report.rows)), kind="pictures", absent="No pictures of answers in these runs.", legend=_colors(report),
    )  # fmt: skip


def _grey(report: ReportData) -> str:
    return " Grey is an oracle, trained with target labels." if any(row.oracle for row in report.rows) else ""


def _of_many(report: ReportData) -> str:
    """What is left out where there are too many classes to show each."""
    k = len(report.row(report.reference).outcomes[0].last.classes or ())
    if k <= MANY:
        return ""
    return f" Of {k:,} classes each chart shows the {EACH} worst and the {EACH} best; scores.json of a run has all."


def _colors(report: ReportData) -> tuple[tuple[str, str, str], ...]:
    """The classes of scenes in the colours of their pictures; of many those that most test pixels are, and how many are left out."""
    record = next((r for r in report.records if r.palette and r.classes), None)
    if record is None:
        return ()
    found = [
        ("chip", name, color) for name, color in zip(record.classes or (), record.palette or (), strict=True)
    ]
    if len(found) <= MANY:
        return tuple(found)
    counts = report.row(report.reference).outcomes[0].last.confusion.get("target")
    order = range(len(found)) if counts is None else np.argsort(-counts.sum(1), kind="stable")
    return (
        *(found[k] for k in order[:MANY]),
        ("chip", f"and {len(found) - MANY} classes of fewer pixels", "transparent"),
    )


def page(
    title: str,
    lead: str,
    report: ReportData,
    chapters: Sequence[Section],
    facts: dict[str, Any],
    missing: Sequence[str],
) -> str:
    """The whole document."""
    environment = Environment(
        loader=PackageLoader("cycada.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = lambda panel: Markup(
        panel.svg
    )  # our own markup; every name in it was escaped by matplotlib
    return environment.get_template("page.html.j2").render(
        title=title, lead=lead, report=report, sections=chapters, facts=facts, missing=missing
    )
