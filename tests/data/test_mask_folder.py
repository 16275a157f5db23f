"""docs/guides/own_masks.md as a new user would follow it: own images and masks, four commands."""

import json

import pytest
import yaml
from helpers.paths import ROOT
from PIL import Image
from typer.testing import CliRunner

from cycada.cli.main import app
from cycada.data.streets.domain import draw
from cycada.data.streets.parts import CLASSES

pytestmark = pytest.mark.trains

CONFIG = str(ROOT / "configs" / "own_scenes.yaml")
SMALL = [
    "data.size=[32, 48]",
    "stages.pixel.crop=[16, 24]",
    "networks.f.channels=4",
    "networks.f.width=8",
    "networks.g.channels=4",
    "networks.g.blocks=1",
    "networks.d.channels=4",
    "networks.d.layers=1",
    "networks.d_feat.channels=2",
    "defaults.batch=2",
    *(f"stages.{name}.steps=2" for name in ("source", "pixel", "task", "feature")),
    "tracking.kind=none",
]


@pytest.fixture
def data(tmp_path):
    for side, look in (("source", "game"), ("target", "photo")):
        for split, seed in (("train", 0), ("test", 1)):
            folder = tmp_path / side / split
            for i in range(3):
                image, mask = draw(seed, i, look, 48, 32)
                for kind, pixels in (("images", image), ("masks", mask)):
                    if (side, split, kind) != ("target", "train", "masks"):
                        (folder / kind).mkdir(parents=True, exist_ok=True)
                        Image.fromarray(pixels).save(folder / kind / f"{i}.png")
    (tmp_path / "classes.yaml").write_text(
        yaml.safe_dump({name: k for k, name in enumerate(CLASSES)}, sort_keys=False)
    )
    return tmp_path


def test_own_scenes_from_check_to_report(data):
    def said(*words):
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    where = [f"data.root={data}", f"results={data / 'results'}"]
    said("data", "check", CONFIG, *where, *SMALL)
    said("check", CONFIG, *where, *SMALL)
    scores = json.loads(said("run", CONFIG, *where, *SMALL, "--json"))
    assert 0 <= scores["stages"]["feature"]["scores"]["target"]["miou"] <= 1
    said("report", "own_scenes", "--results", str(data / "results"))
    assert "mIoU" in (data / "results" / "reports" / "own_scenes" / "table.md").read_text()
