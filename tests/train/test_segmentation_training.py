"""SegmentationDataset through the same stages, step and loop as images: tiny streets, every stage, resume,
scores against naive loops."""

import io
import json
import math
import shutil

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_config
from helpers.streets import STAGES, STREETS, streets
from torch import nn

from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE
from cycada.core.yaml_files import merge
from cycada.data import LoaderStream, ResizedDataset, StreamSettings, segmentation_domains
from cycada.data.crops import Crops
from cycada.data.streets.domain import Streets
from cycada.evaluation.predict import count_pixels, eval_mode
from cycada.evaluation.tasks import EVALUATIONS
from cycada.metrics import scores
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.runs.verify import verify
from cycada.storage.store import RunFolder
from cycada.train.device import Device
from cycada.train.loop import train

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return run(streets(results=str(tmp_path_factory.mktemp("streets"))))


def test_every_stage_runs_and_is_scored(trained):
    assert [s.name for s in trained.stages] == list(STAGES)
    for stage in trained.stages:
        assert set(stage.scores) == {"source", "target"}
        for found in stage.scores.values():
            assert set(found) == set(EVALUATIONS["segmentation"].scores)
            assert len(found["class_iou"]) == 9
            assert 0 <= found["miou"] <= 1
        rows = [json.loads(line) for line in (stage.folder / "metrics.jsonl").read_text().splitlines()]
        assert all(math.isfinite(v) for row in rows for v in row.values())
        assert {"target/miou", "selection/information_maximisation"} <= set(rows[-1])
        assert list((stage.folder / "images").glob("answers_*.png"))
    grids = [s.name for s in trained.stages if list((s.folder / "images").glob("grid_*.png"))]
    assert grids == ["pixel", "task", "feature", "self"]


def test_scores_are_those_of_a_naive_loop_at_the_masks_own_size():
    """Images are scaled to half their size; the answer is held against every pixel of the whole mask."""
    scenes = ResizedDataset(
        Streets(look="photo", width=64, height=32, test=3).load(None, "test"),
        (16, 32),
        full_resolution_masks=True,
    )
    torch.manual_seed(0)
    net = nn.Conv2d(3, 9, 1)
    with eval_mode(net):
        by_scene = count_pixels(net, scenes, 9, Device.find("cpu"), batch=2)
        naive = np.zeros((9, 9), int)
        for i in range(3):
            image, mask, _ = scenes.read(i)
            assert image.shape == (3, 16, 32)
            assert mask.shape == (32, 64)
            large = nn.functional.interpolate(net(image[None].float() / 127.5 - 1), (32, 64), mode="bilinear")
            for truth, said in zip(mask.flatten().tolist(), large.argmax(1).flatten().tolist(), strict=True):
                if truth != IGNORE:
                    naive[truth, said] += 1
    count = by_scene.sum(0)
    assert by_scene.shape == (3, 9, 9)
    assert count.tolist() == naive.tolist()
    union = naive.sum(0) + naive.sum(1) - naive.diagonal()
    expected = np.mean([naive[k, k] / union[k] for k in range(9) if union[k]])
    assert float(scores["miou"](count)) == pytest.approx(expected)


def test_some_of_fitted_scenes_are_those_scenes_and_lose_their_masks_where_that_is_asked_for():
    scenes = ResizedDataset(Streets(train=5, width=64, height=32).load(None, "train"), (16, 32), cache=True)
    some, bare = scenes.subset([3, 1]), scenes.without_labels()
    assert list(some.names) == [scenes.names[3], scenes.names[1]]
    for k, i in enumerate([3, 1]):
        assert all(torch.equal(a, b) for a, b in zip(some.read(k)[:2], scenes.read(i)[:2], strict=True))
    assert bare.read(0)[1] is None
    assert torch.equal(bare.read(0)[0], scenes.read(0)[0])


def test_a_stream_depends_on_seed_and_step_alone():
    scenes = ResizedDataset(Streets(train=5, width=64, height=32).load(None, "train"), (32, 64), cache=True)

    def stream():
        return LoaderStream(Crops(scenes, (16, 24), seed=3), StreamSettings(2, 3, torch.device("cpu")))

    one = stream()
    whole = [one.draw(step) for step in range(6)]
    resumed = stream()
    for step in (4, 5):
        images, masks, _ = resumed.draw(step)
        assert torch.equal(images, whole[step][0])
        assert torch.equal(masks, whole[step][1])
    assert whole[0][0].shape == (2, 3, 16, 24)
    assert whole[0][0].abs().max() <= 1
    assert masks.dtype == torch.int64


def test_masks_of_the_target_are_not_there_to_be_seen():
    config = streets()
    plans = plan(config)
    datasets = load_datasets(config, [p for p in plans if p.name != "oracle"], Device.find("cpu"))
    assert datasets.oracle is None
    assert datasets.target["train"].read(0)[1] is None
    assert datasets.target["train"].inner.pair(0)[1] is None
    assert load_datasets(config, plans, Device.find("cpu")).oracle.read(0)[1] is not None


@pytest.mark.parametrize("stage", ["pixel", "feature", "self"])
def test_a_resumed_stage_ends_with_the_same_weights(stage, trained):
    config = streets()
    plans = {p.name: p for p in plan(config)}
    device = Device.find("cpu")
    datasets = load_datasets(config, list(plans.values()), device)
    starts = {}
    for role, start in plans[stage].stage.init.items():
        parent, _, parent_role = start.partition(".")
        starts[role] = (
            build_training(config, plans[parent], datasets, device, starts)
            .nets.get_submodule(parent_role)
            .state_dict()
        )
    whole = build_training(config, plans[stage], datasets, device, starts)
    reports = train(whole, report_every=1)
    next(reports)
    state = torch.load(_saved(whole.state()), weights_only=True)
    list(reports)
    resumed = build_training(config, plans[stage], datasets, device, starts)
    resumed.load_state(state)
    list(train(resumed, report_every=1))
    for (name, a), (_, b) in zip(
        whole.nets.state_dict().items(), resumed.nets.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def _saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (
            {"data": {"target": "optdigits", "size": [32, 64], "channels": 3}},
            "Take two domains of the same kind",
        ),
        ({"data": {"channels": 1}}, "found 1, expected 3: segmentation needs colour images"),
        ({"stages": {"source": {"crop": [64, 64]}}}, "at most data.size"),
        ({"stages": {"source": {"augment": {"rotate": 10}}}}, "mirrored"),
        ({"data": {"size": [30, 62]}}, "divisible by 4"),
        ({"stages": {"self": {"options": {"rotate": 10}}}}, "options.rotate: it is for image-level labels"),
        ({"stages": {"self": {"options": {"jitter": -1}}}}, "options.jitter: found -1"),
    ],
)
def test_mistakes_are_answered(over, message):
    config = merge(merge(STREETS, {"stages": STAGES}), over)

    def begin():
        parsed = tiny_config(config.pop("stages"), **config)
        plans = plan(parsed)
        build_training(
            parsed, plans[1], load_datasets(parsed, plans, Device.find("cpu")), Device.find("cpu"), {}
        )

    with pytest.raises(CycadaError, match=message):
        begin()


def test_images_with_labels_are_square_and_not_cropped():
    with pytest.raises(CycadaError, match="expected one number"):
        plan(tiny_config(data={"size": [16, 32]}))
    with pytest.raises(CycadaError, match="only segmentation images are cropped"):
        plan(tiny_config({"source": {"method": "source_only", "crop": [8, 8]}}))


def test_a_finished_stage_is_evaluated_again_and_translates(trained, cycada, tmp_path):
    by_name = {s.name: s for s in trained.stages}
    code, out, err = cycada("evaluate", by_name["task"].folder, "--json")
    assert code == 0, err
    assert json.loads(out)["scores"] == by_name["task"].scores
    code, out, err = cycada("evaluate", by_name["task"].folder)
    assert (code, "mIoU" in out) == (0, True), err


def test_the_fingerprint_sees_another_seed_and_masks():
    def of(masks=True, **options):
        return ResizedDataset(
            Streets(train=4, width=64, height=32, **options).load(None, "train"), (32, 64)
        ).fingerprint(masks)

    assert of() == of()
    assert len({of(), of(seed=7), of(look="photo"), of(masks=False)}) == 4
    assert "streets" in segmentation_domains


def test_verify_scores_the_counts_of_an_older_version_again(trained, tmp_path):
    """It took the mean over the classes of the truth or of the answers, and did not say of how many."""
    source = trained.stages[0].folder
    folder = RunFolder(tmp_path / "runs" / source.name)
    shutil.copytree(source, folder.path)
    stored, (*rows, last) = folder.read_json("scores.json"), folder.metrics()
    for side, found in stored.items():
        found["miou"] = last[f"{side}/miou"] = round(found["miou"] * 0.9, 6)
        del found["classes_averaged"], last[f"{side}/classes_averaged"]
    folder.write_json("scores.json", stored)
    (folder.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (*rows, last)))
    folder.finish()
    found = verify(folder.path, tmp_path)
    assert found.sound, found.checks
    assert "target scores" in {what for what, right, _ in found.checks if right}
