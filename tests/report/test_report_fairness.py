"""Reports compare like with like: the same images, the same seeds, and no oracle as a competitor."""

import json

import numpy as np
import pytest
import yaml
from helpers.synthetic_runs import make_run, make_sweep

from cycada.core.errors import CycadaError
from cycada.data.image_set import evenly_spaced
from cycada.render.table import NONE
from cycada.report.gather import gather
from cycada.report.provenance import missing
from cycada.report.report import headline, report
from cycada.report.selection import choose_rows, choose_steps
from cycada.report.sheets import results_sheet
from cycada.report.table import covers, lines

N = 200


def change(results, *, scored=50, criteria=None, train=None):
    """Let all runs have scored `scored` images before the last step, and `criteria` images for criteria."""
    for folder in (results / "runs").iterdir():
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["experiment"]["logging"] = {"evaluation_images": scored}
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest |= {"criteria_images": criteria} if criteria else {}
        manifest["images"]["target train"] = train or manifest["images"]["target train"]
        (folder / "manifest.json").write_text(json.dumps(manifest))


def test_steps_are_compared_on_the_images_that_all_evaluations_scored(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9, "- cycle": 0.6}, seeds=(0,))
    change(tmp_path, criteria=50)
    row = gather(["made_ablation"], tmp_path).row("CyCADA")
    (steps,) = [s for s in choose_steps([row]) if s.row is row]
    run = row.outcomes[0].last
    few = run.predictions()[0][evenly_spaced(N, 50)]
    assert steps.choices["last"].accuracy.mean == pytest.approx(100 * few.mean())
    earlier = [100 * e["target/accuracy"] for e in run.evaluations[:-1]]
    assert steps.oracle.mean == pytest.approx(max(*earlier, 100 * few.mean()))
    made = report("made_ablation", tmp_path)
    assert "with the same ones" in made.folder.joinpath("table.md").read_text()
    assert "those before it are of a sample of 50 a domain" in made.folder.joinpath("report.html").read_text()


def test_steps_of_scenes_are_compared_on_the_images_that_all_evaluations_scored(tmp_path):
    make_run(tmp_path, "a" * 12, "source", scenes=True, pair=("streets", "streets"), n=40)
    change(tmp_path, scored=10, criteria=10)
    (row,) = gather(["a" * 12], tmp_path).rows
    run = row.outcomes[0].last
    counts = run.predictions()[0][evenly_spaced(40, 10)].sum(0)
    hits = np.diag(counts)
    ious = (hits / (counts.sum(0) + counts.sum(1) - hits))[counts.sum(1) > 0]
    assert choose_steps([row])[0].choices["last"].accuracy.mean == pytest.approx(100 * ious.mean())


def test_no_step_is_chosen_where_criteria_were_of_more_images_at_the_last_step(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9, "- cycle": 0.6}, seeds=(0,))
    change(tmp_path)  # 50 images, and in an older version 1000 at the last step
    data = gather(["made_ablation"], tmp_path)
    assert choose_steps(data.rows) == []
    assert choose_rows(data.rows)  # by the last step alone, at which all are of 1000 images
    assert any(note.startswith("No step is chosen") for note in missing(data))
    change(tmp_path, train=50)  # no more images are there
    assert choose_steps(gather(["made_ablation"], tmp_path).rows)


def test_no_row_is_chosen_by_criteria_of_other_numbers_of_images(tmp_path):
    make_run(tmp_path, "a" * 12, "source")
    change(tmp_path, criteria=50)
    make_run(tmp_path, "b" * 12, "feature")
    data = gather(["a" * 12, "b" * 12], tmp_path)
    assert choose_rows(data.rows) == []
    assert any("of other numbers of images, 50, 1000" in note for note in missing(data))


def test_a_stage_that_starts_from_an_oracle_is_an_oracle(tmp_path):
    make_run(tmp_path, "0" * 12, "oracle", rate=0.95)
    make_run(tmp_path, "a" * 12, "source", rate=0.6)
    make_run(tmp_path, "b" * 12, "feature", rate=0.9, parents={"f_t": "0" * 12})
    data = gather(["a" * 12, "b" * 12], tmp_path)
    assert [row.oracle for row in data.rows] == [False, True]


def test_rows_of_other_seeds_are_said_where_they_are_ranked(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9, "- cycle": 0.6})
    data = gather(["made_ablation"], tmp_path)
    assert "the same seeds" not in headline(lines(data), data)
    data.rows[1] = type(data.rows[1])(data.rows[1].name, data.rows[1].outcomes[:1])
    assert "Not all of these rows have the same seeds" in headline(lines(data), data)


def test_a_handful_of_test_images_gives_no_p_value(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9, "- cycle": 0.1}, n=5, k=2)
    table = lines(gather(["made_ablation"], tmp_path))
    tests = [line.test for line in table if line.test]
    assert {test.why["bootstrap"] for test in tests} == {"5 images < 6"}
    assert "With fewer than 6 test images no p is printed, and the interval" in covers(table)["bootstrap"]


def test_scores_stand_below_their_seeds_where_a_row_lacks_some(tmp_path):
    make_sweep(tmp_path, {"CyCADA": 0.9, "- cycle": 0.6})
    data = gather(["made_ablation"], tmp_path)
    data.rows[1] = type(data.rows[1])(data.rows[1].name, data.rows[1].outcomes[1:])
    sheet = results_sheet(lines(data), data.reference)
    assert sheet.heads[-1] == "seeds 0, 1, 2"
    assert sheet.rows[1][-1].startswith(f"{NONE}, ")


def test_a_sweep_of_settled_seeds_alone_says_why_there_is_nothing_to_report(tmp_path):
    path = make_sweep(tmp_path, {"CyCADA": 0.9}, seeds=(0,))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"settled_on": [0]}))
    with pytest.raises(CycadaError, match="every seed of the sweep made_ablation under its settled_on"):
        gather(["made_ablation"], tmp_path)
