"""One HTML page that needs nothing else: styles, figures and images are inside, and nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cycada.report.charts import ablation, class_bars, learning_curves, loss_curves
from cycada.report.clouds import clouds
from cycada.report.drawing import SOURCE, TARGET, Panel
from cycada.report.gather import Gathered
from cycada.report.matrices import confusions, flip_matrices
from cycada.report.pixels import png_file_uri
from cycada.report.semantics import shared
from cycada.report.sheets import Sheet
from cycada.report.table import Line


@dataclass(frozen=True)
class Picture:
    """An image file inside the page, as a data URI."""

    uri: str
    title: str
    alt: str


@dataclass(frozen=True)
class Section:
    """A chapter of the page. how: how to read what it shows. absent: what is said where there is nothing to show."""

    key: str
    title: str
    how: str
    sheets: tuple[Sheet, ...] = ()
    panels: tuple[Panel, ...] = ()
    more: tuple[Panel, ...] = ()
    more_title: str = ""
    pictures: tuple[Picture, ...] = ()
    kind: str = "panels"
    absent: str = ""
    legend: tuple[tuple[str, str], ...] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        return not (self.sheets or self.panels or self.pictures or self.more)


def sections(report: Gathered, lines: Sequence[Line], sheets: dict[str, Sheet]) -> list[Section]:
    """The chapters, in reading order."""
    rows = report.rows
    reference = report.row(report.reference)
    several = max(len(row.outcomes) for row in rows) > 1
    evaluate = "`cycada evaluate RUN` on a run of an older version writes what is needed."
    translations = shared(rows, lambda outcome: outcome.translation)
    selection = tuple(sheets[k] for k in ("selection_accuracy", "selection_regret", "selection_rows") if k in sheets)
    by_seed = "Thin lines are seeds, the strong line is their mean." if several else "One seed."
    return [
        Section("results", "Results", "", sheets=(sheets["results"],)),
        Section(
            "ablation", "Ablation",
            "Each bar is a row's mean target accuracy at the last step"
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
            "curves", "Learning curves", f"Accuracy on both test sets at each evaluation of a row's last stage. {by_seed}",
            panels=tuple(learning_curves(rows)), more=tuple(loss_curves(reference)),
            more_title=f"Losses of every stage behind {report.reference}, mean over seeds",
            legend=(("line", "target"), ("dashes", "source")), absent="metrics.jsonl of these runs holds no evaluations.",
        ),
        Section(
            "classes", "Classes",
            "Target accuracy of each class: bars are means over seeds" + (", dots are seeds" if several else "") + "."
            + " The orange dash is the source-only network of the same seeds." + _grey(report),
            panels=tuple(class_bars(rows)), absent="No accuracies by class are stored.",
        ),
        Section(
            "confusions", "Confusions",
            "Target test images" + (", counts added over seeds" if several else "") + ". A row is a true class, a column what it was "
            "called; numbers are % of the row, and a row adds up to 100. All but the diagonal is error.",
            panels=tuple(confusions(rows)), absent="No confusion.json in these runs.",
        ),
        Section(
            "translations", "Translations",
            "Left to right: real source image, the same translated to the target, and translated back; real target image, the same "
            "translated to the source, and back. A good translation keeps the class (compare the first two columns) and looks like the "
            "fourth. One seed is shown.",
            pictures=tuple(_grids(report)), kind="pictures", absent="No stage here translates images.",
        ),
        Section(
            "drift", "Semantic drift",
            "Does an image keep its class when it is translated? The frozen source classifier names it before (row) and after (column), "
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
            "The task network's features of test images in two dimensions (t-SNE, at most 300 images a domain, one seed). Where adaptation "
            "worked, target images lie on the images that the network was trained on, and the classes apart. A network that was trained on "
            "translated images alone may well put real source images elsewhere. "
            "Distances between far groups mean nothing in t-SNE; the "
            "A-distance below is the number to trust. Test labels colour the points and do nothing else.",
            sheets=tuple(s for k, s in sheets.items() if k == "distance"),
            panels=tuple(clouds(rows)), kind="pairs", absent=f"No run here stored features. {evaluate}",
        ),
    ]  # fmt: skip


def _grey(report: Gathered) -> str:
    return " Grey is an oracle, trained with target labels." if any(row.oracle for row in report.rows) else ""


def _grids(report: Gathered) -> list[Picture]:
    """The last grid of the stage that translates, once for all rows that share it, of one seed."""
    found = []
    for group in shared(report.rows, lambda outcome: outcome.translation):
        record = group.records[0]
        if record.grid is None:
            continue
        title = f"{group.title}: stage {record.stage}, seed {record.seed}, step {int(record.grid.stem.split('_')[1])}"
        found.append(Picture(png_file_uri(record.grid), title, f"Grid of real, translated and reconstructed images. {title}"))
    return found


def page(title: str, lead: str, report: Gathered, chapters: Sequence[Section], facts: dict[str, Any], missing: Sequence[str]) -> str:
    """The whole document."""
    environment = Environment(
        loader=PackageLoader("cycada.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = lambda panel: Markup(panel.svg)  # our own markup; every name in it was escaped by matplotlib
    return environment.get_template("page.html.j2").render(
        title=title, lead=lead, report=report, sections=chapters, facts=facts, missing=missing, colors={"line": TARGET, "dashes": SOURCE}
    )
