"""A sound config starts: what cannot is refused by a rehearsal without data, what can is not."""

import copy
from pathlib import Path

import pytest
import torch
from helpers.experiments import DRAWN, PAIRED, TINY, method_stages, tiny_config
from helpers.paths import ROOT
from helpers.training import training

from cycada.cli.main import main
from cycada.config import schema as configs
from cycada.config.schema import parse
from cycada.core.errors import CycadaError, explain_out_of_memory
from cycada.core.yaml_files import override
from cycada.losses import losses
from cycada.methods import methods
from cycada.planning import rehearsal
from cycada.planning.absent import find_absent_resources
from cycada.planning.plan import plan
from cycada.planning.rehearsal import rehearse
from cycada.runs.run import run
from cycada.train.device import Device
from cycada.train.loop import train
from cycada.train.meter import Diverged, Meter

SCENES = [
    "data.source={name: streets, look: game}",
    "data.target={name: streets}",
    "data.size=[32, 64]",
    "data.channels=3",
]
CONFIGS = ROOT / "configs"


def tiny(*settings: str) -> configs.Config:
    return parse(override(copy.deepcopy(TINY), settings))


def rehearsed(config: configs.Config) -> None:
    for stage in plan(config):
        rehearse(config, stage)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["stages.source.batch=1"], r"batch: 1.*f_t \(convnet\).*at least 2 images"),
        (["data.size=60000", "stages.source.batch=512"], "GB of memory"),
        (["networks.f={name: lenet}", "data.size=8"], "at least 16 pixels"),
        (["networks.f={name: lenet}", *SCENES], "not predict a class for every pixel"),
        (
            ["stages.source.method=mcd", "networks.f={name: timm, model: resnet10t}", "data.size=32"],
            "needs its part 'head'",
        ),
    ],
)
def test_refuses_what_would_not_start(settings: list[str], said: str) -> None:
    with pytest.raises(CycadaError, match=said):
        rehearsed(tiny(*settings))


def test_refuses_a_loss_that_reaches_no_parameter() -> None:
    losses("brightness_of_nothing")(lambda real_s: real_s.mean())
    try:
        with pytest.raises(CycadaError, match="'brightness_of_nothing' reaches no parameter of phase 'task'"):
            rehearsed(tiny("stages.source.losses.brightness_of_nothing=1"))
    finally:
        del losses._entries["brightness_of_nothing"]


def test_takes_one_image_where_batch_norm_has_a_map_to_average_over() -> None:
    """LeNet has no batch norm; one image trains."""
    rehearsed(tiny("networks.f={name: lenet}", "stages.source.batch=1"))


@pytest.mark.parametrize(
    "config", ["demo", "own_scenes", "translation/facades/fastcut", "digits/mnist_usps/quick"]
)
def test_shipped_configs_are_sound(config: str) -> None:
    rehearsed(configs.load(CONFIGS / f"{config}.yaml"))


def test_random_numbers_of_the_caller_stay() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    rehearsed(tiny("seed=77"))
    assert torch.rand(1) == expected


def test_warns_of_what_is_absent(tmp_path: Path) -> None:
    folder = "data.target={name: folder, train: no/train, test: no/test}"
    config = tiny(
        folder, f"data.root={tmp_path}", "stages.source.init={f_t: 'no.safetensors#f_t'}", "device=cuda:99"
    )
    said = "\n".join(find_absent_resources(config, plan(config)))
    assert all(word in said for word in ("no/train", "no/test", "no.safetensors", "cuda:99"))
    large = tiny("stages.source.batch=100000", "data.size=512")
    assert any(
        "a step takes" in said and "this machine has" in said
        for said in find_absent_resources(large, plan(large))
    )


def test_check_prints_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"data.root={tmp_path}", "data.target={name: usps}"]
    monkeypatch.setattr("sys.argv", ["cycada", "check", str(CONFIGS / "demo.yaml"), *settings])
    with pytest.raises(SystemExit) as ended:
        main()
    found = capsys.readouterr()
    assert ended.value.code == 0
    assert "sound" in found.out
    assert found.err.startswith("warning: ")
    assert "usps.bz2" in found.err


def test_memory_is_named() -> None:
    with (
        pytest.raises(CycadaError, match=r"stages.a: the memory is full.*Lower batch"),
        explain_out_of_memory("stages.a"),
    ):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 10 bytes.")
    with pytest.raises(RuntimeError, match="something else"), explain_out_of_memory():
        raise RuntimeError("something else")


def test_the_heaviest_term_is_blamed_for_what_it_broke() -> None:
    meter = Meter({"cycle_s": 1e38, "gan_t": 1.0})
    meter.add(0, {"loss/gan_t": torch.tensor(0.5), "loss/cycle_s": torch.tensor(0.9)})
    meter.add(1, {"loss/gan_t": torch.tensor(torch.nan), "loss/cycle_s": torch.tensor(torch.nan)})
    with pytest.raises(Diverged, match=r"Step 2: 'gan_t'.*The cause is 'cycle_s'.*1e\+38"):
        meter.means(Device(torch.device("cpu")))


def test_no_term_is_blamed_among_equals() -> None:
    meter = Meter({"cycle_s": 10.0, "gan_t": 1.0})
    meter.add(0, {"loss/gan_t": torch.tensor(torch.inf), "loss/cycle_s": torch.tensor(0.9)})
    with pytest.raises(Diverged, match=r"'gan_t'.*Lower the learning rate"):
        meter.means(Device(torch.device("cpu")))


def test_a_finite_loss_that_no_training_comes_back_from_has_diverged() -> None:
    """And a weight of 1 is not blamed for it."""
    meter = Meter({"task_source": 1.0})
    meter.add(0, {"loss/task_source": torch.tensor(2.3), "gradient/task_source": torch.tensor(1e20)})
    meter.add(1, {"loss/task_source": torch.tensor(-1e25), "gradient/task_source": torch.tensor(1e20)})
    with pytest.raises(
        Diverged,
        match=r"Step 2: 'task_source' \(loss\) has diverged: it came to -5e\+24.*Lower the learning rate",
    ):
        meter.means(Device(torch.device("cpu")))


def test_statistics_that_no_loss_sees_are_looked_at() -> None:
    """In training mode batch norm does not use them; in a test, everything would be one class."""
    it = training("source_only", steps=2)
    statistics = next(b for name, b in it.nets.f_t.named_buffers() if name.endswith("running_var"))
    statistics.fill_(torch.inf)
    with pytest.raises(
        Diverged, match=r"Step 2: f_t no longer has finite weights.*What moved them: task_source\."
    ):
        list(train(it))


def test_what_the_last_step_breaks_is_no_result(tmp_path: Path) -> None:
    """Every loss and every weight is finite, and no answer is: an error that names the stage, and nothing
    that is done."""
    broken = {"name": "adamw", "lr": 1e6, "weight_decay": 1e6}
    stages = {"source": {"method": "source_only", "steps": 1, "optimizer": broken}}
    config = tiny_config(stages, results=str(tmp_path), networks={"f": {"name": "lenet"}}, data={"size": 28})
    with pytest.raises(Diverged, match=r"stages.source: Step 1: .*nothing to score") as error:
        run(config)
    assert error.value.exit_code == 2
    assert not list(tmp_path.glob("runs/*/done"))


@pytest.mark.parametrize("setting", ["lr=1e300", "head_lr=1e7", "weight_decay=1e300"])
def test_rates_that_no_float_holds_are_refused(setting: str) -> None:
    with pytest.raises(CycadaError, match="less than or equal to 1000000"):
        tiny(f"stages.source.optimizer.{setting}")


@pytest.mark.parametrize("batch", [1, 4, 24])
def test_a_few_images_tell_the_memory_of_a_batch(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("networks.f={name: lenet}", f"defaults.batch={batch}")
    few = [rehearse(config, stage) for stage in plan(config)]
    monkeypatch.setattr(rehearsal, "IMAGES", batch)
    rehearsal._BYTES.clear()
    assert few == pytest.approx([rehearse(config, stage) for stage in plan(config)], rel=0.02)


def test_the_number_of_threads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_BYTES", {})
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rehearsed(tiny("seed=78"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_every_method_is_rehearsed() -> None:
    """None of those that train is refused."""
    for name in methods:
        rehearsed(tiny_config(method_stages(name), **(DRAWN if name in PAIRED else {})))
