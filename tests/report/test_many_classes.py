"""Reports and tables of more classes than one can look at: bounded, and with a word on what is left out."""

import re

import numpy as np
import pytest
from helpers.synthetic_runs import make_run

from cycada.cli.data_check import Checked, Part, print_checked
from cycada.data.inspect import DatasetReport
from cycada.metrics.many_classes import EACH, MANY, worst_and_best
from cycada.report import tsne as clouds
from cycada.report.drawing import draw
from cycada.report.gather import gather
from cycada.report.matrices import matrix
from cycada.report.report import report
from cycada.report.sheets import left_out


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report on 300 classes: source only, and what was trained on translations."""
    results = tmp_path_factory.mktemp("many")
    how = {"k": 300, "n": 600, "pair": ("folder", "folder")}
    source, pixel = (
        make_run(results, f"{c * 6}", stage, **how) for c, stage in (("a", "source"), ("b", "pixel"))
    )
    task = make_run(results, "cccccc", "task", parents={"g_st": pixel}, **how)
    return report([source, task], results), results


def test_of_many_values_the_lowest_and_the_highest_stay():
    assert worst_and_best([5.0] * MANY) == list(range(MANY))
    values = np.random.default_rng(0).permutation(100).astype(float)
    values[values == 99] = np.nan
    assert values[worst_and_best(values.tolist())].tolist() == [*range(EACH), *range(99 - EACH, 99)]
    assert worst_and_best([float("nan")] * 50 + [1.0]) == [50]


def test_a_page_of_many_classes_is_bounded(page):
    written, _ = page
    html = (written.folder / "report.html").read_text()
    assert len(html) < 400_000
    assert "Of 300 classes each chart shows the 10 worst and the 10 best" in html
    assert "The most frequent errors of" in html
    assert "others</text>" in html, "the legend of the features"
    assert "cells: the largest" in html
    assert "of 8 x 8 classes" in html
    for svg in re.findall(r"<svg.*?</svg>", html):
        assert svg.count("<text") <= 60
        assert len(re.search(r'aria-label="([^"]*)"', svg).group(1)) < 1000
    for name in ("table.md", "table.tex"):
        lines = (written.folder / name).read_text().splitlines()
        assert sum(not line.startswith("%") for line in lines) < 120, "but for comments in LaTeX"


def test_the_cells_of_a_matrix_are_bounded_and_no_error_vanishes():
    count = np.eye(1000, dtype=np.int64) * 3
    count[997, 2] = 3
    made = draw(matrix(count, [f"c{k}" for k in range(1000)], "t", ("a", "b"), "k", "alt"))
    assert len(made.svg) < 40_000
    assert made.svg.count("<text") <= 26


def test_of_many_classes_the_commonest_have_a_colour():
    label = np.array([7] * 5 + [3] * 4 + list(range(100, 130)) + [-1])
    named, others = clouds._commonest(label, 20, 3)
    assert (named, len(others)) == ([3, 7], 30)
    assert clouds._commonest(label[:9], 20, 3) == ([3, 7], [])


def test_iou_of_many_classes_is_that_of_the_references_worst_and_best(tmp_path):
    how = {"scenes": True, "k": 50, "n": 4, "pair": ({"name": "mask_folder"}, {"name": "mask_folder"})}
    make_run(tmp_path, "aaaaaa", "source", **how)
    written = report(["aaaaaa"], tmp_path)
    text = (written.folder / "table.md").read_text()
    table = text[text.index("## IoU of classes") :].split("\n## ")[0]
    assert table.splitlines()[2].count("class ") == 2 * EACH + 1, "and class accuracy"
    assert "Of 50 classes the 10 worst and the 10 best of 'source only'" in table
    html = (written.folder / "report.html").read_text()
    assert html.count('class="key chip"') == MANY + 1
    assert "and 10 classes of fewer pixels" in html


@pytest.mark.parametrize(("scenes", "what"), [(False, "image"), (True, "pixel")])
def test_classes_that_the_test_set_lacks_are_said_beside_the_scores(tmp_path, scenes, what):
    """Of scenes in the tables, too, where means are over classes."""
    how = {"scenes": scenes, "k": 12, "n": 12} | (
        {"pair": ({"name": "mask_folder"},) * 2} if scenes else {"pair": ("folder",) * 2}
    )
    make_run(tmp_path, "aaaaaa", "source", **how)
    run = tmp_path / "runs" / "aaaaaa"
    found = gather(["aaaaaa"], tmp_path)
    scores = found.rows[0].outcomes[0].last.scores["target"]
    scores["class_accuracy"][3] = None
    names = [str(name) for name in np.load(run / "analysis.npz")["classes"]]
    assert left_out(found.rows)[0].startswith("The mean is over ")
    assert f"no {what} of the test set is: " in left_out(found.rows)[0]
    assert names[3] in left_out(found.rows)[0]


def test_data_check_shows_the_rarest_and_the_commonest(capsys):
    part = Part("source train", 300, DatasetReport(np.arange(300), np.arange(300), read=300, labelled=300))
    print_checked(Checked("a -> b", tuple(f"k{k:03d}" for k in range(300)), (), (part,)))
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 50
    assert "k299" in out
    assert "k005" in out
    assert "k150" not in out
    assert "Of 300 classes the 10 rarest and the 10 commonest of what was read of source train." in out
