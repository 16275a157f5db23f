"""The style of all figures, and their conversion from matplotlib to SVG inside a page.

Each panel is a small SVG of its own, so that a phone shows one below the other instead of all of them tiny.
Text and axes take the page's colours (light or dark) through two placeholder colours.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cycada.render.svg import compact, written

INK, RULE = "#000001", "#000002"
"""Placeholders for the page's text and line colours."""
GREY = "#b0b0b0"
"""The colour of lines where there is no page."""
COLORS = (
    "#3f90da",
    "#e76300",
    "#832db6",
    "#94a4a2",
    "#ffa90e",
    "#bd1f01",
    "#a96b59",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
"""Petroff's ten colours for all kinds of colour vision (arXiv:2107.02270); the first three differ most."""
TARGET, SOURCE, TRANSLATED = COLORS[0], COLORS[1], COLORS[2]
STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "figure.edgecolor": "none",
    "axes.facecolor": "none",
    "axes.prop_cycle": cycler(color=COLORS),
    "lines.linewidth": 1.4,
    "axes.titlelocation": "left",
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Panel:
    """One chart of the page.

    Attributes:
        svg: The markup, to be put into HTML as it is.
        alt: The text for readers who cannot see the chart.
        key: The name of the chart, and of its file.
        alone: The chart as the text of an SVG file, black on white, for a README or a web page.
        pdf: The chart as a PDF file, black on nothing, for a paper; None where nobody asked for it.
    """

    svg: str
    alt: str
    key: str
    alone: str
    pdf: bytes | None = None


def styled() -> Any:
    """Return a context in which figures have the common style."""
    return mpl.rc_context(STYLE)


def new(width: float = 3.1, height: float = 2.3) -> tuple[Figure, Axes]:
    """Return a figure of `width` x `height` inches with one axes; call it within `styled()`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def plain(text: str) -> str:
    """Escape a name so that matplotlib shows it as text, never as mathematics."""
    return text.replace("$", r"\$")


def short(text: str, length: int) -> str:
    """Cut text off after `length` characters, and escape it."""
    return plain(text if len(text) <= length else text[: length - 1] + "…")


def panel_title(text: str) -> str:
    """Break a title onto at most two lines that fit a panel, and escape it."""
    return plain("\n".join(wrap(text, 36, max_lines=2, placeholder=" …")))


def panel(figure: Figure, key: str, alt: str) -> Panel:
    """Convert a figure to a panel; call it within `styled()`.

    Args:
        figure: The figure.
        key: The name of the panel, which also keeps the ids of its SVG apart from all others on the page.
        alt: The text for readers who cannot see the chart.
    """
    return dress(as_svg(figure, key), key, alt)


def as_svg(figure: Figure, key: str) -> str:
    """Return a figure as a short SVG in the placeholder colours, from which `dress` makes a panel.

    Call it within `styled()`. It is the same text whenever it is made.

    Args:
        figure: The figure.
        key: The name of the panel, with which all ids of the SVG begin.
    """
    _place(figure)
    file = io.StringIO()
    figure.dpi = 96  # it matters only for scatter plots, which are the only pixels
    with mpl.rc_context({"svg.hashsalt": key}):
        # `savefig` would draw twice
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return written(compact(file.getvalue(), key))


def dress(svg: str, key: str, alt: str) -> Panel:
    """Return the panel of an SVG that `as_svg` wrote.

    Args:
        svg: The text of the SVG.
        key: The name of the panel.
        alt: The text for readers who cannot see the chart.
    """
    tree = ET.fromstring(svg)
    size = {name: tree.attrib.pop(name) for name in ("width", "height")}
    inside = written(tree).replace(INK, "currentColor").replace(RULE, "var(--rule)")
    inside = inside.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)
    tree.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "font-family": "sans-serif", **size}
    tree.insert(0, ET.Element("rect", {"width": "100%", "height": "100%", "fill": "white"}))
    alone = written(tree).replace(RULE, GREY).replace(INK, "black") + "\n"
    return Panel(inside, alt, key, alone)


def _place(figure: Figure) -> None:
    """Find the places of all that a figure shows once for all its files: that takes as long as to draw."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine("none")


def as_pdf(figure: Figure) -> bytes:
    """Return a figure as a PDF, which is the same file whenever it is made.

    Call it within `styled()`, and after `as_svg`: it replaces the placeholder colours in the figure.
    """
    _place(figure)
    rule = to_rgba(RULE)
    for spine in (spine for axes in figure.axes for spine in axes.spines.values()):
        if spine.get_edgecolor() == rule:
            spine.set_edgecolor(GREY)
    for line in figure.findobj(Line2D):
        if isinstance(line, Line2D) and line.get_color() == RULE:
            line.set_color(GREY)
    file = io.BytesIO()
    figure.dpi = 200
    metadata = {"CreationDate": None, "Producer": None}
    FigureCanvasPdf(figure).print_pdf(file, metadata=metadata)  # type: ignore[no-untyped-call]
    return file.getvalue()
