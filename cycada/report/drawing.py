"""Charts that are drawn when they are needed, or found under results/cache by a digest of what they show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path

from matplotlib.figure import Figure

from cycada.core import files
from cycada.render import figure as figures
from cycada.render.figure import Panel, as_pdf, as_svg, dress, styled
from cycada.report.cache import NO_CACHE, Cache


@dataclass(frozen=True)
class Chart:
    """A chart that is not drawn yet.

    Attributes:
        key: The name of the chart, and of its file.
        alt: The text for readers who cannot see the chart.
        make: A function of a module together with all that it draws: arrays, texts, numbers, also in tuples,
            lists and mappings. It is called within `styled()`.
    """

    key: str
    alt: str
    make: partial[Figure]


def draw(chart: Chart, cache: Cache = NO_CACHE, pdf: bool = False) -> Panel:
    """Draw a chart, or find it as it was drawn before.

    Args:
        chart: The chart.
        cache: Where SVGs are kept.
        pdf: Whether the panel holds a PDF, too, which is drawn every time.
    """
    figure: Figure | None = None

    def svg() -> str:
        nonlocal figure
        figure = chart.make()
        return as_svg(figure, chart.key)

    what = (chart.key, chart.make.func.__qualname__, chart.make.args, chart.make.keywords)
    with styled():
        text = cache.get_text("figure", [_drawn_by(), *what], svg, ".svg")
        panel = dress(text, chart.key, chart.alt)
        if not pdf:
            return panel
        return Panel(panel.svg, panel.alt, panel.key, panel.alone, as_pdf(figure or chart.make()))


@cache
def _drawn_by() -> str:
    """Return what identifies the code that draws: another version may draw the same numbers differently."""
    folders = (Path(__file__).parent, Path(figures.__file__).parent)
    sources = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))]
    return f"{metadata.version('matplotlib')} {files.bytes_digest(b''.join(sources))}"
