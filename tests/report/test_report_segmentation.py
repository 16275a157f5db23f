"""Reports on segmentation: mIoU by name and by number, paired tests over scenes, IoU of classes, answers,
published numbers."""

import base64
import csv
import io
import json
import re

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_config
from helpers.streets import STREETS
from helpers.synthetic_runs import make_run, make_sweep
from PIL import Image

from cycada.core.errors import CycadaError
from cycada.metrics import scores
from cycada.report.gather import gather
from cycada.report.published import flags, published, read_published
from cycada.report.record import Record
from cycada.report.report import report
from cycada.report.selection import choose_rows, choose_steps
from cycada.report.sheets import published_sheet
from cycada.report.table import lines
from cycada.runs.run import run

VARIANTS = {"CyCADA": 0.9, "- cycle": 0.6, "oracle": 0.97}
LOOKS = ({"name": "streets", "look": "game"}, {"name": "streets", "look": "photo"})
HOW = {"scenes": True, "k": 5, "n": 30, "pair": LOOKS}
SECTIONS = (
    "results",
    "ablation",
    "selection",
    "curves",
    "classes",
    "confusions",
    "answers",
    "translations",
    "drift",
    "features",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    make_sweep(folder, VARIANTS, **HOW)
    return folder


@pytest.fixture(scope="module")
def made(results, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return report(["made_ablation"], results, out), out


def by_name(table):
    return {line.row.name: line for line in table}


def counts(line, seed):
    return next(o for o in line.row.outcomes if o.seed == seed).last.analysis["counts_target"]


def test_the_metric_is_miou_and_its_numbers_those_of_the_run_folders(results):
    found = gather(["made_ablation"], results)
    assert (found.metric.word, found.metric.key) == ("mIoU", "miou")
    table = by_name(lines(found))
    for line in table.values():
        values = [
            100 * float(scores["miou"](torch.from_numpy(counts(line, seed).sum(0)))) for seed in (0, 1, 2)
        ]
        assert list(line.target.values.values()) == pytest.approx(values, abs=1e-3)
        assert line.target.error == pytest.approx(np.std(values, ddof=1) / np.sqrt(3), rel=1e-3)
    assert table["CyCADA"].gain.mean == pytest.approx(
        table["CyCADA"].target.mean - table["source only"].target.mean
    )


def test_rows_are_tested_over_scenes(results):
    table = by_name(lines(gather(["made_ablation"], results)))
    test = table["- cycle"].test
    assert (test.against, test.seeds, test.images) == ("CyCADA", (0, 1, 2), 30)
    assert test.difference.mean == pytest.approx(100 * test.bootstrap.difference, abs=1e-3)
    assert test.bootstrap.low < test.bootstrap.difference < test.bootstrap.high < 0
    rng = np.random.default_rng(5)
    naive = []
    for _ in range(400):
        drawn = rng.integers(0, 30, 30)
        each = [
            [
                float(scores["miou"](torch.from_numpy(counts(table[n], seed)[drawn].sum(0))))
                for n in ("- cycle", "CyCADA")
            ]
            for seed in (0, 1, 2)
        ]
        naive.append(np.mean([one - other for one, other in each]))
    assert (test.bootstrap.low, test.bootstrap.high) == pytest.approx(
        np.quantile(naive, [0.025, 0.975]), abs=0.01
    )
    assert test.bootstrap.p <= test.bootstrap_holm


@pytest.mark.parametrize(
    ("frames", "said"), [(30, "not tested: 5 blocks of frames < 6"), (36, "< 0.001 (< 0.001)")]
)
@pytest.mark.parametrize(
    "target",
    [
        {"name": "camvid", "drive": "dusk"},
        {"name": "mask_folder", "train": "a", "test": "b", "classes": "c", "consecutive": True},
    ],
)
def test_frames_of_one_video_are_drawn_in_blocks(tmp_path, frames, said, target):
    how = HOW | {"n": frames, "pair": ({"name": "camvid", "drive": "day"}, target)}
    ids = [
        make_run(tmp_path, "aaaaaa", "source", **how),
        make_run(tmp_path, "bbbbbb", "task", parents={"g_st": "gone"}, rate=0.75, **how),
    ]
    written = report(ids, tmp_path)
    data = json.loads((written.folder / "table.json").read_text())
    test = data["rows"][0]["test"]
    assert test["bootstrap"]["block"] == 6
    assert (test["bootstrap_holm"] is None) == (test["bootstrap"]["p"] is None) == (frames == 30)
    assert test["bootstrap"]["low"] < test["bootstrap"]["high"]
    for name in ("table.md", "report.html"):
        assert (
            "blocks of 6 successive frames (circular block bootstrap)" in (written.folder / name).read_text()
        )
    # the reason why no row has a p value is a note instead of a column
    assert said in (" ".join(written.results.notes) if frames == 30 else written.results.rows[0][5])
    assert written.results.rows[0][4].endswith("]")


def test_scenes_with_other_masks_are_not_compared(tmp_path):
    one = make_run(tmp_path, "aaaaaa", "source", **HOW)
    other = make_run(tmp_path, "bbbbbb", "task", parents={"g_st": "gone"}, **HOW)
    file = tmp_path / "runs" / other / "analysis.npz"
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays["counts_target"] = np.roll(arrays["counts_target"], 1, 0)
    np.savez(file, **arrays)
    test = by_name(lines(gather([one, other], tmp_path)))["source only"].test
    assert test.why["bootstrap"] == "not the same test images"


def test_selection_by_hand(results):
    rows = gather(["made_ablation"], results).rows
    row = rows[1]
    steps = next(s for s in choose_steps(rows) if s.row is row)
    for outcome in row.outcomes:
        values = [100 * e["target/miou"] for e in outcome.last.evaluations]
        chosen = values[int(np.argmax([e["selection/bnm"] for e in outcome.last.evaluations]))]
        assert steps.choices["bnm"].accuracy.values[outcome.seed] == pytest.approx(chosen)
        assert steps.choices["bnm"].regret.values[outcome.seed] == pytest.approx(max(values) - chosen)
    assert choose_rows(rows)


def test_all_files_say_miou(made):
    written, out = made
    assert written.missing == []
    data = json.loads((out / "table.json").read_text())
    rows = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    for one, other in zip(data["rows"], rows, strict=True):
        assert "target_accuracy" not in one
        assert float(other["mean"]) == pytest.approx(one["target_miou"]["mean"], abs=1e-5)
        assert float(other["pixel_accuracy"]) == pytest.approx(one["target_pixel_accuracy"]["mean"], abs=1e-5)
        assert (one["test_images"], one["classes_averaged"], other["classes_averaged"]) == (30, "5", "5")
        assert np.mean(list(one["target_class_iou"].values())) == pytest.approx(
            one["target_miou"]["mean"], abs=1e-3
        )
    markdown, latex, page = ((out / name).read_text() for name in ("table.md", "table.tex", "report.html"))
    assert markdown.startswith("# made_ablation: drawn streets (game) → drawn streets (photo)")
    assert "% mIoU on target test images" in markdown
    assert "| method | target mIoU | n |" in markdown
    assert "| 30 / 5 |" in markdown
    assert re.search(r"\| CyCADA \| \*\*\d+\.\d ± \d+\.\d\*\* \|", markdown)
    assert "## Target mIoU where each criterion would have stopped" in markdown
    assert "| criterion | target mIoU |" in markdown
    for row in re.findall(r"\\midrule\n(.*?)\\bottomrule", latex, re.DOTALL):
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in row.strip().splitlines()}) == 1
    for text in (markdown, latex, page):
        assert not re.search(r"[Tt]arget accuracy|Accuracy (in|on)", text)
        assert not re.search(r"\bnan\b", text)
        assert str(out) not in text


def test_iou_of_every_class_is_in_a_table(made, results):
    markdown = (made[1] / "table.md").read_text()
    heads = re.search(r"## IoU of every class\n\n(.*?)\n", markdown)[1]
    assert (
        heads == "| method | class 0 | class 1 | class 2 | class 3 | class 4 "
        "| mIoU | fwIoU | pixel accuracy | class accuracy |"
    )
    cells = [
        float(c)
        for c in re.findall(
            r"[\d.]+(?= \|)", re.search(r"\n\| - cycle (\|.*)", markdown.split("## IoU of every")[1])[1]
        )
    ]
    records = [o.last for o in gather(["made_ablation"], results).row("- cycle").outcomes]
    expected = [100 * np.mean([r.scores["target"]["class_iou"][k] for r in records]) for k in range(5)]
    expected += [
        100 * np.mean([r.scores["target"][k] for r in records])
        for k in ("miou", "fwiou", "pixel_accuracy", "mean_class_accuracy")
    ]
    assert cells == pytest.approx(expected, abs=0.051)


def test_the_page_is_whole_and_small(made):
    page = (made[1] / "report.html").read_text()
    assert all(f'<section id="{s}">' in page and f'href="#{s}"' in page for s in (*SECTIONS, "provenance"))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', page)) <= set(ids)
    assert "<li>Published numbers: The toolkit has no published number" in page
    assert len(page) < 1 << 20
    assert 'aria-label="CyCADA: target IoU in % by class: class 0' in page
    assert "the pixels of source test images" in page
    assert "error, L1" in page
    assert page.count('class="key chip"') == 5


def test_the_page_shows_scenes_once_and_the_answers_of_every_row(made):
    section = re.search(
        r'<section id="answers">(.*?)</section>', (made[1] / "report.html").read_text(), re.DOTALL
    )[1]
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", section)
    assert titles == [
        "Target test images and their true masks",
        *(f"{name}, seed 0, step 300" for name in ("source only", *VARIANTS)),
    ]
    sizes = [
        Image.open(io.BytesIO(base64.b64decode(b))).size for b in re.findall(r"base64,([^\"]*)", section)
    ]
    assert set(sizes) == {(2 * (3 * 48 + 4) - 4, 18 + 2 * (3 * 24 + 4) - 4)}
    section = re.search(
        r'<section id="translations">(.*?)</section>', (made[1] / "report.html").read_text(), re.DOTALL
    )[1]
    assert len(re.findall("<img", section)) == 2


def test_scenes_and_images_do_not_mix(tmp_path):
    one = make_run(tmp_path, "aaaaaa", "source", **HOW)
    same = make_run(tmp_path, "cccccc", "source", pair=LOOKS)
    with pytest.raises(CycadaError, match="one kind of score"):
        gather([one, same], tmp_path)
    back = make_run(tmp_path, "dddddd", "source", **(HOW | {"pair": LOOKS[::-1]}))
    with pytest.raises(CycadaError, match=r"drawn streets \(photo\) -> drawn streets \(game\)"):
        gather([one, back], tmp_path)


def test_titles_tell_domains_of_one_name_apart(tmp_path):
    def titles(*pair):
        made = make_run(tmp_path, f"{len(list(tmp_path.glob('runs/*'))):06d}", "source", pair=pair, n=20)
        return Record(tmp_path / "runs" / made).titles

    assert titles("mnist", {"name": "usps", "folder": "x"}) == ("MNIST", "USPS")
    assert titles(*LOOKS) == ("drawn streets (game)", "drawn streets (photo)")
    assert titles(
        {"name": "folder", "folder": "/home/me/sharp", "train": 3}, {"name": "folder", "folder": "soft"}
    ) == (
        "folder (sharp)",
        "folder (soft)",
    )


def test_published_numbers_of_gta5_are_flagged(tmp_path):
    make_sweep(tmp_path, VARIANTS, seeds=(0,), **(HOW | {"k": 19, "pair": ("gta5", "cityscapes")}))
    table = lines(gather(["made_ablation"], tmp_path))
    found = {e.id: e for e in published(table)}
    full = found["gta5/cycada_b_pixel_feat"]
    assert (full.value, full.ours.row.name, full.status) == (39.5, "CyCADA", "read")
    assert not any("other network" in f for f in full.flags), "DRN-26 is drn26"
    assert "ours saw 30 of 500 cityscapes test images" in full.flags
    assert "19,998 unlabelled target images, ours 7,291" in full.flags
    assert any("size of images" in f and "number of runs" in f for f in full.flags)
    assert "other network (ours: drn26)" in found["gta5/cycada_a_pixel_feat"].flags
    chosen = "checkpoint chosen with target test labels, ours is the last step"
    assert chosen in found["gta5/tllib_cycada"].flags
    assert found["gta5/cycada_a_source"].ours.row.name == "source only"
    assert found["gta5/cycada_b_oracle"].ours.row.name == "oracle"
    assert not any("synthia" in name for name in found)
    sheet = published_sheet(published(table), table[0].row.metric)
    assert sheet.notes[0].startswith("mIoU in %. The published numbers were not measured here.")
    assert len(sheet.rows) == len(found) > 30
    entry = next(e for e in read_published() if e["id"] == "gta5/cycada_b_feat")
    other = make_run(tmp_path, "eeeeee", "source", **(HOW | {"k": 13, "pair": ("gta5", "cityscapes")}))
    assert "over 19 classes, ours 13" in flags(entry, gather([other], tmp_path).rows[0])


def test_the_16_and_13_classes_of_synthia_have_numbers_of_their_own(tmp_path):
    for name, k in (("aaaaaa", 13), ("bbbbbb", 16)):
        make_run(tmp_path, name, "source", **(HOW | {"k": k, "pair": ("synthia", "cityscapes")}))
        found = {e.id for e in published(lines(gather([name], tmp_path)))}
        benchmarks = {e["benchmark"] for e in read_published() if e["id"] in found}
        assert benchmarks == {f"synthia_to_cityscapes_{k}"}


@pytest.mark.slow
def test_the_command_on_scenes_that_were_really_trained(cycada, tmp_path):
    stages = {
        "source": {"method": "source_only"},
        "pixel": {
            "method": "cycada_pixel",
            "init": {"f_s": "source.f_t"},
            "losses": {"semantic_t": 0, "semantic_s": 0},
        },
        "task": {"method": "cycada_task", "init": {"g_st": "pixel.g_st"}},
    }
    run(tiny_config(stages, results=str(tmp_path), **(STREETS | {"defaults": {"batch": 2, "steps": 2}})))
    code, out, err = cycada("report", "tiny", "--results", tmp_path, "--out", tmp_path / "out")
    assert code == 0, err
    assert "target mIoU, %, last step" in out
    data = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [row["method"] for row in data["rows"]] == ["source_only", "cycada_task"]
    assert data["rows"][0]["test"]["images"] == 3
    page = (tmp_path / "out" / "report.html").read_text()
    assert "flips, s→t, %" in page
    assert "untranslated, L1" in page
    assert "no pictures of predicted masks" not in page
    assert "No run here stored features" not in page
    assert data["provenance"]["pair"] == "drawn streets (game) -> drawn streets (photo)"
