"""The worst predictions of each row as pictures of a report's page."""

import base64
import io
import re

import pytest
from helpers.synthetic_runs import make_run
from PIL import Image

from cycada.report.pictures import MISTAKES
from cycada.report.report import report

LOOKS = ({"name": "streets", "look": "game"}, {"name": "streets", "look": "photo"})


def section(written):
    page = (written.folder / "report.html").read_text()
    found = re.search(r'<section id="mistakes">(.*?)</section>', page, re.DOTALL)
    return found and found[1]


def make_rows(results, **how):
    """Three rows, of which the second is the best comparable one and the third an oracle."""
    make_run(results, "aaaaaa", "source", rate=0.5, **how)
    make_run(results, "bbbbbb", "task", rate=0.8, parents={"g_st": "gone"}, **how)
    make_run(results, "cccccc", "oracle", rate=0.97, **how)
    return report(["aaaaaa", "bbbbbb", "cccccc"], results)


def test_mistakes_are_shown_by_row_and_the_best_comparable_row_first(tmp_path):
    shown = section(make_rows(tmp_path, mistakes=24))
    titles = re.findall(r"<h3>(.*?)</h3>", shown)
    assert titles == ["pixel only, seed 0", "source only, seed 0", "oracle, seed 0"]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", shown)
    assert len(captions) == 3 * MISTAKES
    assert captions[:2] == ["0, predicted 1, 90.0 %", "1, predicted 2, 86.5 %"]
    assert "pixel only: test image 0 (picture 0.png), 0, predicted 1, 90.0 %" in shown
    sizes = {Image.open(io.BytesIO(base64.b64decode(b))).size for b in re.findall(r"base64,([^\"]*)", shown)}
    assert sizes == {(84, 84)}, "28 pixels, three times as large"


def test_mistakes_of_scenes_show_their_masks_and_are_few(tmp_path):
    shown = section(make_rows(tmp_path, mistakes=12, scenes=True, k=5, n=12, pair=LOOKS))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", shown)
    assert len(captions) == MISTAKES
    assert captions[0] == "IoU 10.0 %"
    sizes = {Image.open(io.BytesIO(base64.b64decode(b))).size for b in re.findall(r"base64,([^\"]*)", shown)}
    assert sizes == {(3 * (3 * 48 + 4) - 4, 72)}


def test_mistakes_of_many_classes_take_no_more_room(tmp_path):
    make_run(tmp_path, "aaaaaa", "source", mistakes=24, k=300, n=300, pair=("folder", "folder"))
    assert len(re.findall("<img", section(report(["aaaaaa"], tmp_path)))) == MISTAKES


@pytest.mark.parametrize("old", [True, False])
def test_mistakes_that_no_run_stored_have_no_section(tmp_path, old):
    written = make_rows(tmp_path, old=old)
    assert section(written) is None
    assert (
        "<li>Most confident mistakes: No picture of a mistake was kept"
        in (written.folder / "report.html").read_text()
    )
