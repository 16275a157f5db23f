"""Source scenes translated once, to disk: the same pixels as on the fly, the same windows as the scenes, and
each only once."""

import copy
import json
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import pytest
import torch
from helpers.paths import TESTS
from helpers.streets import STAGES, once_stages, streets
from torch import nn

from cycada.core.errors import CycadaError
from cycada.core.interrupt import Interrupted
from cycada.core.progress import Progress
from cycada.data import ResizedDataset, to_bytes, to_float
from cycada.data.crops import Crops
from cycada.data.loaders import epoch_order
from cycada.data.streets.domain import DrawnStreets, Streets
from cycada.data.translated import is_whole, with_translations, write_png
from cycada.networks import Frozen, generators
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.runs.pretranslate import translate_once
from cycada.runs.run import run
from cycada.train.device import Device
from cycada.train.loop import train

pytestmark = pytest.mark.trains

CPU, SCREEN = Device.find("cpu"), Progress(quiet=True)
HALF_A_STEP = 0.5 / 127.5 + 1e-6


def task_training(tmp_path, stages=STAGES, **over):
    """The task stage, not yet trained, behind an untrained pixel stage; its datasets."""
    config = streets(stages, **over)
    plans = {p.name: p for p in plan(config)}
    datasets = load_datasets(config, list(plans.values()), CPU)
    f_s = build_training(config, plans["source"], datasets, CPU, {}).nets.f_t.state_dict()
    g_st = build_training(config, plans["pixel"], datasets, CPU, {"f_s": f_s}).nets.g_st.state_dict()
    once = partial(translate_once, tmp_path, plans["task"], CPU, SCREEN)
    return build_training(config, plans["task"], datasets, CPU, {"g_st": g_st}, once), datasets


def fake_t(training, step):
    with torch.no_grad():
        return training.tensors(training.nets, training.batch(step), training.options).fake_t


def test_without_windows_and_mirrors_it_is_the_translation_on_the_fly(tmp_path):
    plain = {"defaults": {"augment": None}}
    fly, _ = task_training(tmp_path / "none", **plain)
    once, datasets = task_training(tmp_path / "some", once_stages(), **plain)
    for step in range(3):
        one, two = fly.batch(step), once.batch(step)
        assert torch.equal(one.real_s, two.real_s)
        assert torch.equal(one.label_s, two.label_s)
        assert torch.equal(one.real_t, two.real_t)
        assert one.fake_t is None
        assert fake_t(once, step) is not None
        assert fake_t(fly, step).std() > 0.01
        assert (fake_t(fly, step) - fake_t(once, step)).abs().max() <= HALF_A_STEP
    assert not (tmp_path / "none").exists()
    # the stored translation is that of the whole scene, byte for byte
    with torch.no_grad():
        expected = to_bytes(once.nets.g_st(to_float(datasets.source["train"].read(4)[0][None])))[0]
    assert torch.equal(once.source.samples.dataset.read(4).partner, expected)
    for training in (fly, once):
        list(train(training))
    for name, weight in fly.nets.f_t.state_dict().items():
        assert torch.allclose(weight.float(), once.nets.f_t.state_dict()[name].float(), atol=2e-3), name


def test_windows_and_mirrors_fall_on_scene_mask_and_translation_alike(tmp_path):
    """A generator that changes nothing gives back every pixel of the very window, flipped or not."""

    class Same(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return images

    with generators.temporary():
        generators.add("same", Same)
        stages = {
            name: {**stage, "networks": {"g": "same"}} for name, stage in once_stages(crop=[16, 24]).items()
        }
        once, datasets = task_training(tmp_path, stages)
    scenes = datasets.source["train"]
    alone = Crops(scenes, (16, 24), once.source.samples.seed)
    mirrored = 0
    for step in range(12):
        batch = once.batch(step)
        assert batch.real_s.shape == (2, 3, 16, 24)
        assert torch.equal(batch.fake_t, batch.real_s)
        for row in range(2):
            epoch, place = divmod(2 * step + row, len(scenes))
            index = int(epoch_order(len(scenes), alone.seed, epoch)[place])
            image, mask, _ = alone[epoch, index]
            assert torch.equal(batch.real_s[row], to_float(image))
            assert torch.equal(batch.label_s[row], mask.long())
            mirrored += contains(scenes.read(index)[1].flip(-1), mask) and not contains(
                scenes.read(index)[1], mask
            )
    assert 0 < mirrored < 24


def contains(whole, part):
    windows = whole.unfold(0, part.shape[0], 1).unfold(1, part.shape[1], 1)
    return bool((windows == part).flatten(2).all(2).any())


class Counting(nn.Module):
    """Darkens, and counts the images that it has seen; `at` raises a signal with that image."""

    def __init__(self, at=None):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))
        self.seen, self.at = 0, at

    def forward(self, images):
        self.seen += len(images)
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return images * self.share - 0.5


def translated(folder, g, train=6, width=64, **stage):
    """-> the scenes with their translations, and the files of these."""
    config = streets(once_stages(**stage))
    scenes = ResizedDataset(Streets(train=train, width=width, height=32).load(None, "train"), (32, 64))
    task = next(p for p in plan(config) if p.name == "task")
    found = translate_once(folder, task, CPU, SCREEN, Frozen(g), scenes)
    return found, [image for image, _ in found.partner.inner.paths]


def test_what_is_there_is_kept_and_what_is_cut_off_is_done_again(tmp_path):
    _, files = translated(tmp_path, Counting())
    assert [f.name for f in files] == [f"game-1-{i:05d}.png" for i in range(6)]
    contents = [f.read_bytes() for f in files]
    for file in files[:3]:
        file.unlink()
    files[4].write_bytes(contents[4][: len(contents[4]) // 2])
    kept = {i: files[i].stat().st_mtime_ns for i in (3, 5)}
    g = Counting()
    again, _ = translated(tmp_path, g)
    assert g.seen == 4
    assert {i: files[i].stat().st_mtime_ns for i in kept} == kept
    assert [f.read_bytes() for f in files] == contents
    assert again.read(4).partner.shape == (3, 32, 64)
    assert translated(tmp_path, unused := Counting())[1] == files
    assert unused.seen == 0
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_translation_that_somebody_edited_is_made_anew_and_named(tmp_path, capsys):
    _, files = translated(tmp_path, Counting())
    content = files[2].read_bytes()
    pixels = torch.zeros(3, 32, 64, dtype=torch.uint8)
    for edited in (pixels, pixels + 1):
        write_png(files[2], edited)
        translated(tmp_path, g := Counting())
        assert g.seen == 1
        assert files[2].read_bytes() == content
        assert f"1 translations were changed since they were written, and are made anew: {files[2]}" in (
            " ".join(capsys.readouterr().err.split())
        )
    (marks,) = tmp_path.glob("*.json")
    for unreadable in ("[]", "{", ""):  # also of an earlier version, which has none
        marks.write_text(unreadable)
        translated(tmp_path, g := Counting())
        assert g.seen == 0
        assert len(json.loads(marks.read_text())) == 6


def test_ctrl_c_stops_after_the_scene_and_the_same_call_goes_on(tmp_path):
    with pytest.raises(
        Interrupted, match=r"Stopped after 2 of 6 translations of stage 'task'. The same command"
    ):
        translated(tmp_path, Counting(at=2))
    assert len(list(tmp_path.rglob("*.png"))) == 2
    rest = Counting()
    translated(tmp_path, rest)
    assert rest.seen == 4


def test_of_two_that_want_the_same_one_translates_and_the_other_waits(tmp_path):
    both = [Counting(), Counting()]
    threads = [threading.Thread(target=translated, args=(tmp_path, g)) for g in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(g.seen for g in both) == [0, 6]


def test_the_folder_depends_on_all_that_the_pictures_do(tmp_path):
    def folder(g=None, **how):
        return translated(tmp_path, g or Counting(), **how)[1][0].parent.name

    other = Counting()
    other.share.data.fill_(0.25)
    assert folder() == folder(crop=[16, 32], steps=9)
    assert len({folder(), folder(other), folder(train=5), folder(width=128), folder(precision="bf16")}) == 5


def test_names_with_a_folder_in_them(tmp_path):
    class Cities(DrawnStreets):
        def __init__(self):
            super().__init__(2, 1, "game", 64, 32)
            self.names = ["ulm/0.1", "bonn/0.1"]

    config = streets(once_stages())
    task = next(p for p in plan(config) if p.name == "task")
    found = translate_once(
        tmp_path, task, CPU, SCREEN, Frozen(Counting()), ResizedDataset(Cities(), (32, 64))
    )
    assert sorted(f"{p.parent.name}/{p.name}" for p in tmp_path.rglob("*.png")) == [
        "bonn/0.1.png",
        "ulm/0.1.png",
    ]
    image, mask, partner = found.read(1)
    assert (image.shape, mask.shape, partner.shape) == ((3, 32, 64), (32, 64), (3, 32, 64))


def test_a_file_that_is_damaged_inside_is_named(tmp_path):
    found, files = translated(tmp_path, Counting())
    data = bytearray(files[2].read_bytes())
    data[len(data) // 2] ^= 255
    files[2].write_bytes(data)
    with pytest.raises(CycadaError, match=f"{files[2].name}.*Mend or remove"):
        found.read(2)


def test_png_files_hold_every_byte_and_their_end_is_looked_for(tmp_path):
    for channels in (1, 3):
        pixels = torch.arange(channels * 32, dtype=torch.uint8).reshape(channels, 4, 8)
        file = tmp_path / f"{channels}.png"
        assert not is_whole(file)
        write_png(file, pixels)
        assert is_whole(file)
    real = ResizedDataset(DrawnStreets(1, 1, "game", 64, 32), (4, 8))
    assert torch.equal(with_translations(real, [file]).read(0).partner, pixels)
    for content in (b"", b"IEND", file.read_bytes()[:-1]):
        file.write_bytes(content)
        assert not is_whole(file)


def test_a_resumed_stage_ends_with_the_same_weights(tmp_path):
    def build():
        return task_training(tmp_path, once_stages(crop=[16, 32]))[0]

    whole, resumed = build(), build()
    reports = train(whole, report_every=1)
    next(reports)
    resumed.load_state(copy.deepcopy(whole.state()))
    list(reports)
    list(train(resumed))
    assert all(
        torch.equal(value, resumed.nets.state_dict()[name]) for name, value in whole.nets.state_dict().items()
    )


def test_stages_and_runs_share_the_pictures(tmp_path):
    stages = {name: once_stages(crop=[16, 32])[name] for name in ("source", "pixel", "task")}
    run(streets(stages, results=str(tmp_path)))
    (folder,) = [p for p in (tmp_path / "translated").iterdir() if p.is_dir()]
    written = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert len(written) == 6
    again = run(
        streets({**stages, "feature": {**STAGES["feature"], "translate": "once"}}, results=str(tmp_path))
    )
    assert [s.reused for s in again.stages] == [True, True, True, False]
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == written


PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[2] + '/runs']
import test_pretranslate as t
t.CPU = t.Device.find("cpu")
assert t.CPU.world == 2
g = t.Counting()
found, files = t.translated(Path(sys.argv[1]), g)
assert g.seen == 3
assert all(found.read(i).partner.shape == (3, 32, 64) for i in range(6))
"""


@pytest.mark.slow
def test_two_processes_share_the_work(tmp_path):
    (tmp_path / "process.py").write_text(PROCESS)
    here = TESTS
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, str(tmp_path / "process.py"), str(tmp_path / "out"), str(here)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(here.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def test_ids_are_as_they_were():
    """The values are those from before there was the key."""
    before = {p.name: p for p in plan(streets())}
    assert before["task"].recipe() == "61d20ae0431b"
    assert before["feature"].recipe() == "0b5a2fe7efa9"
    said = next(p for p in plan(streets(once_stages(translate="on_the_fly"))) if p.name == "task")
    once = next(p for p in plan(streets(once_stages())) if p.name == "task")
    assert said.identity() == before["task"].identity()
    assert once.identity() == before["task"].identity() | {"translate": "once"}


def with_once(stage, **more):
    return {**STAGES, stage: {**STAGES[stage], "translate": "once", **more}}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (with_once("source"), r"stages.source.translate: no loss .* \(fake_t\)"),
        (with_once("task", losses={"task_translated": 0, "task_source": 1}), "no loss of this stage"),
        (with_once("pixel"), "found that g_st learns in this stage, expected a frozen one"),
        (with_once("task", translate="offline"), "translate: Input should be 'on_the_fly' or 'once'"),
    ],
)
def test_mistakes_are_answered(stages, message):
    with pytest.raises(CycadaError, match=message):
        plan(streets(stages))
