"""Predictions are counted for the classes that the data have."""

import pytest
import torch

from cycada.core.errors import CycadaError
from cycada.data import ImageDataset
from cycada.evaluation.scoring import count_predictions
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
