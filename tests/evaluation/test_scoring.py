"""Predictions are counted for the classes that the data have; scores of plug-ins are checked."""

import pytest
import torch
from helpers.experiments import tiny_config

from cycada.core.errors import CycadaError
from cycada.data import ImageDataset
from cycada.evaluation.scoring import as_scores, count_predictions
from cycada.metrics import scores
from cycada.runs.run import run
from cycada.train.device import Device


@pytest.mark.parametrize("predicted", [2, 6])
def test_a_network_of_another_number_of_classes_is_refused(predicted):
    """Predictions of further classes would not count, as if their images were not there."""
    images = ImageDataset(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 2, 0]))
    device = Device.find("cpu")

    def classify(classes):
        return lambda batch: torch.eye(classes)[[classes - 1] * len(batch)]

    _, count = count_predictions(classify(3), images, 3, device, "fp32")
    assert count[:, 2].tolist() == [2, 1, 1]
    with pytest.raises(CycadaError, match=f"predicts {predicted} classes, and the data have 3"):
        count_predictions(classify(predicted), images, 3, device, "fp32")


@pytest.mark.parametrize(
    ("score", "found"),
    [
        (lambda count: 1 / 0, "cannot be computed. ZeroDivisionError: division by zero"),
        (lambda count: None, "cannot be computed"),
        (lambda count: count.double(), r"is of shape \(3, 3\), expected \(\) or \(3,\)"),
        (lambda count: torch.ones(2), r"is of shape \(2,\)"),
    ],
)
def test_a_score_that_cannot_be_stored_is_named(score, found):
    with scores.temporary():
        scores.add("mine", score)
        with pytest.raises(CycadaError, match=f"The score 'mine' {found}"):
            as_scores(torch.eye(3).long())


def test_a_score_is_a_number_or_one_for_each_class():
    with scores.temporary():
        scores.add("number", lambda count: 0.5)
        scores.add("by_class", lambda count: count.diagonal() / count.sum(1))
        found = as_scores(torch.eye(3).long())
    assert (found["number"], found["by_class"]) == (0.5, [1.0, 1.0, 1.0])


@pytest.mark.trains
def test_a_criterion_that_one_target_image_does_not_have_is_left_out_and_named(tmp_path, capsys):
    stages = {"source": {"method": "source_only", "steps": 2}}
    data = {"target": {"name": "rendered_digits", "train": 1, "test": 10}}
    run(tiny_config(stages, data=data, results=str(tmp_path)))
    said = " ".join(capsys.readouterr().err.split())
    assert "left out, as no finite number for 1 target training image: the criteria snd." in said
    (rows,) = tmp_path.glob("runs/*/metrics.jsonl")
    assert "NaN" not in rows.read_text()
    assert "selection/snd" not in rows.read_text()
    assert "selection/bnm" in rows.read_text()
