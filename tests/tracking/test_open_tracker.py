"""Several trackers at once, of which each may fail by itself."""

import sys

import pytest
from helpers.experiments import tiny_config

from cycada.config.schema import Tracking
from cycada.core.errors import CycadaError
from cycada.tracking.open_tracker import SeveralTrackers, check_trackers, open_tracker
from cycada.tracking.tracker import run_name, trackers


class Noting:
    def __init__(self, fails=""):
        self.heard, self.fails, self.where = [], fails, "look here"

    def __getattr__(self, method):
        def hear(*values):
            if method == self.fails:
                raise OSError("the disk is full")
            self.heard.append((method, *values[:1]))

        return hear


def test_several_trackers_go_on_without_one_that_fails():
    warnings, good, bad = [], Noting(), Noting(fails="log")
    both = SeveralTrackers({"bad": bad, "good": good}, warnings.append)
    both.begin("it", 0, "abc", {})
    both.log(1, {"loss": 1.0})
    both.log(2, {"loss": 1.0})
    both.end({})
    assert good.heard == [("begin", "it"), ("log", 1), ("log", 2), ("end", {})]
    assert bad.heard == [("begin", "it")]
    assert len(warnings) == 1
    assert "bad stopped (OSError: the disk is full)" in warnings[0]
    assert both.where == "look here"


def test_open_tracker_warns_of_a_package_that_is_absent(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert open_tracker(["wandb", "none"], None, tmp_path, warnings.append).where == ""
    assert len(warnings) == 1
    assert "pip install 'cycada[wandb]'" in warnings[0]


def test_check_trackers_names_what_is_near():
    with pytest.raises(CycadaError, match="Did you mean 'mlflow'"):
        check_trackers(["mlflw"])
    with trackers.temporary():
        trackers.add("mine", Noting)
        check_trackers(["mine", "none", "mlflow", "tensorboard", "wandb"])


@pytest.mark.parametrize("kind", [[], ["mlflow", "mlflow"], ["none", "wandb"]])
def test_tracking_refuses_lists_that_contradict_themselves(kind):
    with pytest.raises(CycadaError, match="each once"):
        tiny_config(tracking={"kind": kind})


def test_tracking_kinds_of_a_name_and_of_several():
    assert Tracking(kind="none").kinds == ()
    assert Tracking().kinds == ("mlflow",)
    assert Tracking(kind=["mlflow", "tensorboard"]).kinds == ("mlflow", "tensorboard")


def test_run_name_tells_seed_and_variant():
    assert run_name("tiny", 1, "") == "tiny seed 1"
    assert run_name("sweep", 1, "- cycle", "pixel") == "pixel, - cycle seed 1"
