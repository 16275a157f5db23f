"""Reports: rows from sweeps, experiments and runs; what the tables say; a page that stands alone."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from helpers.paths import ROOT
from helpers.synthetic_runs import make_run, make_sweep

from cycada.core.errors import CycadaError
from cycada.core.yaml_files import merge
from cycada.planning.updates import Updates
from cycada.render.table import NONE, Table
from cycada.report import charts
from cycada.report import tsne as clouds
from cycada.report.budget import budget_of
from cycada.report.comparable import incomparable
from cycada.report.gather import _same_runs, gather
from cycada.report.published import flags, incomplete, number_of_runs, published, read_published
from cycada.report.record import Record
from cycada.report.report import headline, report
from cycada.report.rows import Outcome, Variant
from cycada.report.selection import choose_rows, choose_steps
from cycada.report.semantics import distances, drift, flips, shared
from cycada.report.sheets import name_sheet, without_empty_columns
from cycada.report.table import lines

VARIANTS = {"CyCADA": 0.9, "- cycle": 0.6, "oracle": 0.97}
EMBED = clouds.embed
SECTIONS = (
    "results",
    "names",
    "ablation",
    "published",
    "selection",
    "curves",
    "classes",
    "confusions",
    "translations",
    "drift",
    "features",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A sweep of three variants over three seeds, without training."""
    folder = tmp_path_factory.mktemp("results")
    make_sweep(folder, VARIANTS)
    return folder


@pytest.fixture(scope="module")
def made(results, tmp_path_factory):
    """The report on it."""
    out = tmp_path_factory.mktemp("out")
    return report(["made_ablation"], results, out, pdf=True), out


def by_name(table):
    return {line.row.name: line for line in table}


def test_a_sweep_has_a_row_a_variant_and_the_shared_baseline(results):
    found = gather(["made_ablation"], results)
    assert [row.name for row in found.rows] == ["source only", *VARIANTS]
    assert (found.reference, found.failures) == ("CyCADA", [])
    row = found.row("CyCADA")
    assert row.seeds == (0, 1, 2)
    assert [r.stage for r in row.outcomes[0].chain] == ["source", "pixel", "task", "feature"]
    assert row.outcomes[1].baseline.id == found.row("source only").outcomes[1].last.id
    assert found.row("oracle").oracle


def test_numbers_are_those_of_the_run_folders(results):
    table = by_name(lines(gather(["made_ablation"], results)))
    for line in table.values():
        values = [100 * o.last.scores["target"]["accuracy"] for o in line.row.outcomes]
        assert line.target.mean == pytest.approx(np.mean(values))
        assert line.target.error == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    source, full = table["source only"], table["CyCADA"]
    assert source.gain is None
    assert full.gain.mean == pytest.approx(full.target.mean - source.target.mean)
    assert table["oracle"].gain is not None, "the shared source-only of the same seed"


def test_every_row_is_tested_against_the_reference_and_corrected(results):
    table = by_name(lines(gather(["made_ablation"], results)))
    assert table["CyCADA"].test is None
    test = table["- cycle"].test
    assert (test.against, test.seeds, test.images) == ("CyCADA", (0, 1, 2), 200)
    assert test.difference.mean == pytest.approx(100 * test.bootstrap.difference)
    assert test.bootstrap.low < test.bootstrap.difference < test.bootstrap.high < 0
    assert test.bootstrap.p <= test.bootstrap_holm
    assert test.wilcoxon is None
    assert test.why["wilcoxon"] == "n = 3 < 6"
    other = by_name(lines(gather(["made_ablation"], results, against="source only")))
    assert other["source only"].test is None
    assert other["- cycle"].test.against == "source only"


def test_the_signed_rank_test_appears_with_six_seeds(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9, "- cycle": 0.5}, seeds=range(6), n=100)
    test = by_name(lines(gather(["made_ablation"], tmp_path)))["- cycle"].test
    assert test.wilcoxon == pytest.approx(2 / 2**6)
    assert test.wilcoxon_holm == pytest.approx(2 * test.wilcoxon)


def test_best_is_never_an_oracle(results):
    assert [line.row.name for line in lines(gather(["made_ablation"], results)) if line.best] == ["CyCADA"]


def test_runs_of_equal_settings_are_seeds_of_one_row(tmp_path):
    ids = [make_run(tmp_path, f"{c * 6}{seed}", "source", seed=seed) for seed in (0, 1) for c in "a"]
    other = make_run(tmp_path, "cccccc", "task", rate=0.9, parents={"g_st": "gone"})
    found = gather([*ids, str(tmp_path / "runs" / other)], tmp_path)
    assert {row.name: row.seeds for row in found.rows} == {"source only": (0, 1), "pixel only": (0,)}
    assert found.row("pixel only").outcomes[0].baseline.id == ids[0]
    with pytest.raises(CycadaError, match="one pair of domains"):
        gather([ids[0], make_run(tmp_path, "dddddd", "source", pair=("usps", "mnist"))], tmp_path)


def test_selection_by_hand(results):
    rows = gather(["made_ablation"], results).rows
    steps = {s.row.name: s for s in choose_steps(rows)}["CyCADA"]
    row = next(r for r in rows if r.name == "CyCADA")
    for outcome in row.outcomes:
        evaluations = outcome.last.evaluations
        accuracy = [100 * e["target/accuracy"] for e in evaluations]
        chosen = accuracy[int(np.argmax([e["selection/bnm"] for e in evaluations]))]
        assert steps.choices["bnm"].accuracy.values[outcome.seed] == pytest.approx(chosen)
        assert steps.choices["bnm"].regret.values[outcome.seed] == pytest.approx(max(accuracy) - chosen)
    assert all(c.regret.mean >= 0 for c in steps.choices.values())
    assert steps.evaluations == 3
    choices = {c.criterion: c for c in choose_rows(rows)}
    for seed in (0, 1, 2):
        values = {
            r.name: next(o for o in r.outcomes if o.seed == seed).last.evaluations[-1]["selection/certainty"]
            for r in rows
        }
        values.pop("oracle")
        assert choices["certainty"].chosen[seed] == max(values, key=values.get)


def test_embedding_keeps_far_clouds_apart_and_repeats():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(20, 5)), 50 + rng.normal(size=(20, 5))]).astype(np.float32)
    at = EMBED(features, 0)
    assert at.shape == (40, 2)
    assert (at == EMBED(features, 0)).all()
    one, other = at[:20], at[20:]
    assert np.linalg.norm(one.mean(0) - other.mean(0)) > 2 * max(one.std(), other.std())


def test_drift_flips_and_distances(results):
    rows = gather(["made_ablation"], results).rows
    groups = shared(rows, lambda outcome: outcome.translation)
    assert [g.rows for g in groups] == [("CyCADA",), ("- cycle",)]
    assert drift(groups[0])["flip_rate_t"].mean == pytest.approx(10)
    assert drift(groups[0])["noise_sensitivity"] is None
    assert flips(groups[0]).sum() == 3 * 200
    apart = {d.row.name: d for d in distances(rows)}
    assert apart["source only"].translated_target is None
    assert -0.5 < apart["CyCADA"].source_target.mean <= 2


def test_published_numbers_are_flagged(results):
    table = lines(gather(["made_ablation"], results))
    found = {e.id: e for e in published(table)}
    full = found["digits/cycada_pixel_feat/mnist_to_usps"]
    assert (full.value, full.ours.row.name, full.status) == (95.6, "CyCADA", "read, ± recalled")
    assert "mean of 4 runs, ours of 3" in full.flags
    assert "ours saw 200 of 10,000 mnist test images" in full.flags
    assert any("choice of checkpoint" in f for f in full.flags)
    assert "other setting: not comparable" in found["digits/pixelda/mnist_to_usps"].flags
    assert "recalled, not read" in found["digits/cycada_target_only/mnist_to_usps"].flags
    joint = next(e for e in read_published() if e["id"] == "digits/tkhkaeio_cycada/mnist_to_usps")
    assert {
        "a single run, ours the mean of 3",
        "checkpoint chosen with target test labels, ours is the last step",
    } <= set(flags(joint, table[0].row))
    assert all(e.flags for e in found.values())


def test_complete_sets_are_not_flagged(tmp_path):
    make_run(tmp_path, "aaaaaa", "source")
    record = gather(["aaaaaa"], tmp_path).rows[0].outcomes[0].last
    record.manifest["images"] = {
        "source train": 60000,
        "source test": 10000,
        "target train": 7291,
        "target test": 2007,
    }
    assert incomplete(record) == []


@pytest.mark.parametrize(
    ("protocol", "runs"),
    [("mean of 4 runs", 4), ("mean of three seeds", 3), ("x; single run", 1), ("", None)],
)
def test_number_of_runs(protocol, runs):
    assert number_of_runs(protocol) == runs


def test_rows_say_how_long_they_were_trained(made):
    """These runs stored no counts, so that they come from their configs: 300 steps a stage, 10 seconds."""
    rows = {row["name"]: row for row in json.loads((made[1] / "table.json").read_text())["rows"]}
    assert rows["source only"]["updates"] == {"task": 300, "all": 300}
    assert rows["CyCADA"]["updates"] == {"task": 900, "all": 1800}, (
        "source, pixel (G, D), task, feature (f, D)"
    )
    assert rows["CyCADA"]["seconds"] == 40
    markdown = (made[1] / "table.md").read_text()
    assert "updates of f_t | all updates | seconds" in markdown
    assert "| 900 | 1,800 | 40 |" in markdown


@pytest.mark.parametrize(("steps", "cells"), [((5, 5), ("5", "9", "10")), ((5, 6), (NONE, NONE, "10"))])
def test_updates_are_those_of_all_seeds_or_none(steps, cells):
    records = [SimpleNamespace(updates=Updates(n, 9), manifest={"seconds": 10}) for n in steps]
    row = SimpleNamespace(outcomes=[SimpleNamespace(chain=(record,)) for record in records])
    assert budget_of(row).cells() == cells


def test_seeds_that_a_recipe_was_settled_on_enter_no_mean(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9})
    path = tmp_path / "sweeps" / "made_ablation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"settled_on": [0, 7]}))
    data = gather(["made_ablation"], tmp_path)
    assert {row.seeds for row in data.rows} == {(1, 2)}
    assert any("settled: seed 0." in note for note in data.notes)


def test_a_source_only_row_that_goes_on_is_no_baseline(tmp_path):
    first = make_run(tmp_path, "s" * 12, "source", rate=0.5)
    make_run(tmp_path, "l" * 12, "source", parents={"f_t": first}, rate=0.7)
    (row,) = gather(["l" * 12], tmp_path).rows
    (outcome,) = row.outcomes
    assert [r.id for r in outcome.chain] == [first, "l" * 12]
    assert (outcome.baseline.id, outcome.last.is_baseline) == (first, False)


def test_the_files_agree(made):
    written, out = made
    data = json.loads((out / "table.json").read_text())
    alone = (out / "figures" / "ablation.svg").read_text()
    assert "#00000" not in alone, "the page's stand-in colours"
    assert "xmlns" in alone
    figures = [path.name for path in sorted((out / "figures").iterdir())]
    assert {name[:-4] for name in figures if name.endswith(".pdf")} == {
        name[:-4] for name in figures if name.endswith(".svg")
    }
    rows = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    assert [r["name"] for r in data["rows"]] == ["source only", *VARIANTS]
    assert [r["row"] for r in rows] == [
        f"'{name}" if name[0] in "=+-@" else name for name in ("source only", *VARIANTS)
    ]
    assert any(r["row"].startswith("'- ") for r in rows), "a spreadsheet would take these for formulas"
    for one, other in zip(data["rows"], rows, strict=True):
        assert float(other["mean"]) == pytest.approx(one["target_accuracy"]["mean"], abs=1e-5)
        assert float(other["seed_2"]) == pytest.approx(one["target_accuracy"]["values"]["2"], abs=1e-5)
    provenance = data["provenance"]
    assert provenance["seeds"] == [0, 1, 2]
    assert provenance["selection"] == data["selection"] == "last step; evaluation pair"
    assert provenance["commits"] == ["0" * 40]
    assert provenance["trained_by"] == ["cycada sweep configs/sweeps/made_ablation.yaml"]
    assert provenance["reported_by"] == "cycada report made_ablation --pdf"
    markdown, latex = (out / "table.md").read_text(), (out / "table.tex").read_text()
    assert re.search(r"\| CyCADA \| \*\*\d+\.\d ± \d+\.\d\*\* \|", markdown)
    assert r"oracle \*" in markdown
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == latex.count(r"\begin{table}") >= 6
    for row in re.findall(r"\\midrule\n(.*?)\\bottomrule", latex, re.DOTALL):
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in row.strip().splitlines()}) == 1
    for text in (markdown, latex, json.dumps(data), (out / "report.html").read_text()):
        assert str(out) not in text
        assert not re.search(r"\bnan\b", text)
    assert written.missing == []


def test_the_page_stands_alone_and_is_whole(made):
    page = (made[1] / "report.html").read_text()
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", page)
    assert not re.findall(r"<(?:script|link|iframe)\b|@import", page)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "script" not in policy
    assert all(f'<section id="{s}">' in page and f'href="#{s}"' in page for s in (*SECTIONS, "provenance"))
    assert "no published number" not in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "figures do not share ids"
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', page)) <= set(ids)
    assert all(re.search(r'aria-label="[^"]+"', svg) for svg in re.findall(r"<svg[^>]*>", page))
    assert (
        len(re.findall(r'<img[^>]*"data:image/png;base64,', page)) == 2
    )  # the grids; clouds of points are images inside SVG
    assert len(page) < 3_000_000


def test_a_second_report_is_the_same_to_the_byte(made, results, tmp_path):
    again = report(["made_ablation"], results, tmp_path, pdf=True).folder
    names = [path.relative_to(again) for path in again.rglob("*") if path.is_file()]
    assert len([name for name in names if name.suffix == ".pdf"]) > 20
    assert [name for name in names if (again / name).read_bytes() != (made[1] / name).read_bytes()] == []


def test_the_headline_is_the_best_comparable_row_and_says_so(results):
    data = gather(["made_ablation"], results, against="- cycle")
    sentence = headline(lines(data), data)
    assert sentence.startswith("CyCADA reaches ")
    assert "the best of the 3 comparable rows out of 4" in sentence, "an oracle does not compete"
    assert "The reference, - cycle, reaches" in sentence
    table = lines(data)
    tied = [replace(line, target=table[0].target) for line in table]
    assert "reach the same, and none of the 3 comparable rows out of 4 is higher" in headline(tied, data)
    data.not_comparable = ["CyCADA"]
    table = lines(data)
    assert not headline(table, data).startswith("CyCADA")
    assert [line.row.name for line in table if line.best] == [headline(table, data).split(" reaches")[0]]


def test_columns_that_say_nothing_are_left_out():
    rows = [("a", "1", "–", "not tested: n = 2 < 6"), ("b", "2", "reference", "–")]
    sheet = without_empty_columns(
        Table("k", "t", ("name", "x", "difference", "p"), rows, frozenset({(1, 1)}), ("note",))
    )
    assert sheet.heads == ("name", "x")
    assert sheet.rows == [("a", "1"), ("b", "2")]
    assert sheet.bold == {(1, 1)}
    assert sheet.notes == ("note", "p: not tested: n = 2 < 6.")


def test_names_say_what_the_settings_differ_in(results):
    data = gather(["made_ablation"], results)
    sheet = name_sheet(data.rows, data.row(data.reference))
    cells = {row[0]: row for row in sheet.rows}
    assert cells["CyCADA"][2:] == ("source → pixel → task → feature", "reference")
    assert cells["- cycle"][3] == "feature.losses.gan_t.weight = 1, not 0"
    data.row("source only").outcomes[0].last.config["networks"]["g"] = {"name": "unet"}
    cells = {row[0]: row for row in name_sheet(data.rows, data.row(data.reference)).rows}
    assert cells["source only"][3] == "–", "its stage has no generator"


def test_of_many_rows_the_features_of_six_are_drawn(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9} | {f"row {i}": 0.5 + i / 50 for i in range(7)}, seeds=(0,), n=60)
    data = gather(["made_ablation"], tmp_path)
    drawn, left_out = clouds.rows_with_clouds(lines(data), data.reference)
    assert len(drawn) == clouds.MOST
    assert len(drawn) + len(left_out) == len(data.rows) == 9
    assert {"source only", "CyCADA"} <= {row.name for row in drawn}
    assert max(row.outcomes[0].last.score() for row in left_out) <= min(
        row.outcomes[0].last.score() for row in drawn if row.name.startswith("row")
    )


def test_of_many_rows_some_have_charts_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("cycada.report.page.DRAWN", 2)
    make_sweep(tmp_path, {"CyCADA": 0.9, "row 0": 0.5, "row 1": 0.6}, seeds=(0,), n=60)
    written = report(["made_ablation"], tmp_path)
    page = (written.folder / "report.html").read_text()
    assert page.count("2 of 4 rows are drawn: ") == 5, "curves, classes, confusions, translations, drift"
    figures = [path.stem for path in (written.folder / "figures").iterdir()]
    assert sum(name.startswith("confusion") for name in figures) == 2
    assert len(written.results.rows) == 4


def test_pdfs_of_an_earlier_report_do_not_stay_beside_other_numbers(tmp_path):
    make_run(tmp_path, "aaaaaa", "source", n=60)
    figures = report(["aaaaaa"], tmp_path, tmp_path / "out", pdf=True).folder / "figures"
    assert list(figures.glob("*.pdf"))
    report(["aaaaaa"], tmp_path, tmp_path / "out")
    assert list(figures.glob("*.svg"))
    assert not list(figures.glob("*.pdf"))


def test_names_cannot_break_the_page(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9, 'x < y & "$z_1^2$" <script>': 0.5}, seeds=(0,), n=60)
    written = report(["made_ablation"], tmp_path)
    page = (written.folder / "report.html").read_text()
    assert written.folder == tmp_path / "reports" / "made_ablation"
    assert "<script>" not in page
    assert "x &lt; y &amp; " in page


def test_an_old_run_is_reported_with_what_is_missing(tmp_path):
    make_sweep(tmp_path, VARIANTS, seeds=(0,), old=True)
    written = report(["made_ablation"], tmp_path)
    page = (written.folder / "report.html").read_text()
    assert any("cycada evaluate RUN" in note for note in written.missing)
    assert "not tested: no predictions per image" in page
    assert "<li>Features: No run here stored features." in page, "empty sections are listed with the reason"
    assert '<section id="features">' not in page
    assert 'href="#features"' not in page


def test_rows_that_are_the_same_runs_are_said():
    def row(name, *ids):
        return Variant(name, tuple(SimpleNamespace(last=SimpleNamespace(id=i)) for i in ids))

    (note,) = _same_runs([row("all", "a", "b"), row("steps=5", "a", "b"), row("steps=6", "a", "c")])
    assert note == "The rows all, steps=5 are the same runs, as their settings are equal."


def test_failed_cells_are_said(tmp_path):
    path = make_sweep(tmp_path, VARIANTS)
    sweep = json.loads(path.read_text())
    sweep["cells"][0] |= {
        "status": "failed",
        "error": "stage pixel: a loss is no number",
        "stages": sweep["cells"][0]["stages"],
    }
    sweep["cells"][1]["status"] = "not run"
    (tmp_path / "runs" / sweep["cells"][2]["stages"][-1]["id"] / "done").unlink()
    path.write_text(json.dumps(sweep))
    written = report(["made_ablation"], tmp_path)
    assert [f.split(":")[0] for f in written.failures] == [
        "CyCADA, seed 0",
        "- cycle, seed 0",
        "oracle, seed 0",
    ]
    assert "a loss is no number" in (written.folder / "report.html").read_text()
    data = json.loads((written.folder / "table.json").read_text())
    assert data["rows"][1]["target_accuracy"]["values"].keys() == {"1", "2"}
    assert data["failures"] == written.failures


def test_the_command_on_an_experiment_that_was_really_run(cycada, finished, tmp_path):
    summary, results = finished
    code, out, err = cycada("report", "tiny", "--results", results, "--out", tmp_path)
    assert code == 0, err
    assert out.splitlines()[-1] == f"Report: {tmp_path / 'report.html'}"
    data = json.loads((tmp_path / "table.json").read_text())
    assert [row["method"] for row in data["rows"]] == [s.method for s in summary.stages]
    assert data["reference"] == "pixel + feature"
    assert data["rows"][0]["test"]["images"] == len(
        np.load(summary.stages[0].folder / "analysis.npz")["label_target"]
    )
    page = (tmp_path / "report.html").read_text()
    assert "No run here stored features" not in page
    assert "No translation was analysed" not in page
    config = tmp_path / "tiny.yaml"
    config.write_text("name: tiny\nstages: {}\n")
    code, _, err = cycada(
        "report",
        config,
        "--results",
        results,
        "--out",
        tmp_path / "again",
        "--against",
        "source only",
        "--title",
        "T",
    )
    assert code == 0, err
    assert str(tmp_path) not in (tmp_path / "again" / "table.json").read_text()
    assert "<title>T</title>" in (tmp_path / "again" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["made_ablatio"], "'made_ablation'"),
        (["made_ablation", "--against", "CyCAD"], "'CyCADA'"),
        (["gone.yaml"], "gone.yaml"),
        ([], "WHAT"),
    ],
)
def test_mistakes_are_answered(cycada, results, words, hint):
    code, _, err = cycada("report", *words, "--results", results)
    assert code == 2
    assert hint in err
    assert "Traceback" not in err


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_no_sideways_scrolling_on_a_phone(made, tmp_path):
    """The page in a frame of 390 pixels, asked by a script outside it how wide it came out."""
    shutil.copy(made[1] / "report.html", tmp_path / "page.html")
    (tmp_path / "frame.html").write_text(
        "<iframe id=f src=page.html style='width:390px;height:800px;border:0'></iframe>"
        "<script>f.onload = () => "
        "document.body.append('width=' + f.contentDocument.documentElement.scrollWidth)</script>"
    )
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--virtual-time-budget=3000",
        "--dump-dom",
    ]
    shown = subprocess.run(
        ["chromium", *words, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    width = re.search(r"width=(\d+)", shown.stdout)
    assert width, shown.stderr[-300:]
    assert int(width.group(1)) <= 390


def test_the_data_and_the_template_ship_with_the_package():
    text = (ROOT / "pyproject.toml").read_text()
    assert '"report/published.yaml", "report/page.html.j2"' in text


def test_a_setting_that_an_older_version_did_not_know_is_at_its_default(tmp_path):
    old, new = (Record(tmp_path / "runs" / make_run(tmp_path, f"{k:012x}", "task", seed=k)) for k in (1, 2))
    told = yaml.safe_load((new.folder.path / "config.yaml").read_text())
    told["experiment"]["evaluation"] = {"flip": False}
    told["experiment"]["stages"]["task"]["crop_area"] = None
    (new.folder.path / "config.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    assert old.settings() == new.settings()
    told["experiment"]["stages"]["task"]["batch"] = 65
    (new.folder.path / "config.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    assert Record(new.folder.path).settings() != old.settings()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"size": 32}}, r"the size of test images differs: 28 x 28 \(one\); 32 x 32 \(other\)"),
        ({"data": {"resize": "nearest"}}, "data.resize differs"),
        ({"data": {"source": {"name": "mnist", "drop": [1, 2]}}}, "data.source.drop differs"),
        ({"evaluation": {"flip": True}}, "evaluation.flip differs"),
        ({"manifest": {"images": {"target test": 7}}}, "the number of target test images differs: 200"),
        ({"manifest": {"data_fingerprint": "b"}}, "data_fingerprint differs: a"),
        ({"data": {"source": {"name": "mnist"}}, "networks": {"f": {"name": "dtn"}}}, None),
    ],
)
def test_rows_that_are_not_comparable_are_noted(tmp_path, change, said):
    one, two = (Record(tmp_path / "runs" / make_run(tmp_path, f"{k:012x}", "task", seed=k)) for k in (1, 2))
    for record, over in ((one, {}), (two, change)):
        path = record.folder.path
        told = yaml.safe_load((path / "config.yaml").read_text())
        told["experiment"] = merge(told["experiment"], {k: v for k, v in over.items() if k != "manifest"})
        (path / "config.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
        manifest = (
            json.loads((path / "manifest.json").read_text())
            | {"data_fingerprint": "a"}
            | over.get("manifest", {})
        )
        (path / "manifest.json").write_text(json.dumps(manifest))
    found = incomparable(
        [Variant(name, (Outcome(0, (record,), None),)) for name, record in (("one", one), ("other", two))]
    )
    if said is None:
        assert not found
    else:
        assert len(found) == 1
        assert re.search(said, found[0])


@pytest.mark.parametrize(
    ("stage", "networks", "equal"),
    [
        (
            "source",
            {"d_feat": {"name": "patch"}, "g": {"name": "unet"}},
            True,
        ),  # what a classifier's training never sees
        ("source", {"f": {"name": "dtn"}}, False),
        ("task", {"d_feat": {"name": "patch"}}, True),
        ("task", {"g_st": {"name": "unet"}}, False),
        ("pixel", {"d": {"name": "patchgan", "options": {"layers": 2}}}, False),
    ],
)
def test_networks_that_no_stage_of_a_row_may_use_are_no_settings(tmp_path, stage, networks, equal):
    one, two = (Record(tmp_path / "runs" / make_run(tmp_path, f"{k:012x}", stage, seed=k)) for k in (1, 2))
    told = yaml.safe_load((two.folder.path / "config.yaml").read_text())
    told["experiment"]["networks"] |= networks
    (two.folder.path / "config.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    assert (one.settings() == two.settings()) is equal


@pytest.mark.parametrize(
    ("highest", "end", "apart"),
    [(0, 10, 10), (39.0, 40, 10), (60.0, 60, 10), (62.1, 80, 20), (99.9, 100, 20), (100.0, 100, 20)],
)
def test_the_axis_of_the_ablation_ends_just_above_the_best(highest, end, apart):
    assert list(charts._ticks(highest)) == list(range(0, end + 1, apart))
