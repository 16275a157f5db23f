"""Charts of a report: drawn once for what they show, and as PDF only where it is asked for."""

from functools import partial

import numpy as np
import pytest

from cycada.render.figure import new
from cycada.report.cache import Cache
from cycada.report.drawing import Chart, draw

calls = []


def plot(values, title, color="red"):
    calls.append(title)
    figure, axes = new()
    axes.plot(values, color=color)
    axes.set(title=title)
    return figure


def chart(values=(1.0, 2.0), title="a", key="k", **how):
    return Chart(key, "it", partial(plot, np.array(values), title, **how))


@pytest.fixture
def cache(tmp_path):
    calls.clear()
    return Cache(tmp_path)


def test_draw_draws_a_chart_once_and_again_for_other_data(cache):
    first = draw(chart(), cache)
    assert draw(chart(), cache) == first
    assert len(calls) == 1
    for other in (chart((1.0, 3.0)), chart(title="b"), chart(key="l"), chart(color="blue")):
        assert draw(other, cache).svg != first.svg
    assert len(calls) == 5


def test_draw_makes_a_pdf_only_where_it_is_asked_for(cache):
    panel = draw(chart(), cache)
    assert panel.pdf is None
    with_pdf = draw(chart(), cache, pdf=True)
    assert with_pdf.pdf.startswith(b"%PDF")
    assert (with_pdf.svg, with_pdf.alone) == (panel.svg, panel.alone)
    assert draw(chart(), pdf=True) == with_pdf, "with and without a cache"


def test_draw_draws_a_chart_again_whose_file_is_cut_off(cache, tmp_path):
    first = draw(chart(), cache)
    (file,) = tmp_path.glob("figure-*.svg")
    file.write_bytes(file.read_bytes()[:-20])
    assert draw(chart(), cache) == first
    assert len(calls) == 2
