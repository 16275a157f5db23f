"""The worst predictions of a stage: the most confident mistakes, the lowest IoU, and what is kept of them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cycada.core.types import IGNORE
from cycada.data import ImageDataset
from cycada.data.streets.domain import Streets
from cycada.evaluation import mistakes
from cycada.evaluation.image_grids import GAP, HEAD
from cycada.evaluation.mistakes import IMAGES_WITH_MASKS, find_confident_mistakes, find_lowest_iou
from cycada.evaluation.predict import count_pixels
from cycada.storage.store import MISTAKES, RunFolder
from cycada.train.device import Device

CPU = Device.find("cpu")


def by_brightness(images):
    """Logits (N, 2) whose second class is the more probable the brighter an image is."""
    brightness = images.mean((1, 2, 3))
    return torch.stack([-3 * brightness, 3 * brightness], 1)


def grey_images(*levels, labels):
    images = torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    return ImageDataset(images, torch.tensor(labels))


def found(dataset):
    predicted = by_brightness(dataset.images.float() / 127.5 - 1).argmax(1)
    with torch.no_grad():
        return find_confident_mistakes(by_brightness, predicted, dataset, CPU, "fp32")


def test_find_confident_mistakes_begins_with_the_most_certain(monkeypatch):
    monkeypatch.setattr(mistakes, "BATCH", 2)
    dataset = grey_images(0, 255, 200, 140, 60, 255, labels=[0, 0, 0, 0, 1, 0])
    arrays = found(dataset).arrays
    assert arrays["mistake_index"].tolist() == [1, 5, 2, 4, 3], "equal ones in order"
    assert arrays["mistake_true"].tolist() == [0, 0, 0, 1, 0]
    assert arrays["mistake_predicted"].tolist() == [1, 1, 1, 0, 1]
    logits = by_brightness(dataset.images.float() / 127.5 - 1)
    expected = logits.softmax(1).max(1).values[arrays["mistake_index"]]
    assert arrays["mistake_probability"] == pytest.approx(expected.numpy())
    assert "mistake_name" not in arrays, "these images are no files"
    monkeypatch.setattr(mistakes, "IMAGES", 2)
    assert found(dataset).arrays["mistake_index"].tolist() == [1, 5]


def test_find_confident_mistakes_of_none_is_none():
    assert found(grey_images(0, 255, labels=[0, 1])) is None


def test_mistakes_are_drawn_in_rows(tmp_path):
    worst = found(grey_images(255, 200, labels=[0, 0]))
    worst.draw(tmp_path / "images" / MISTAKES)
    with Image.open(tmp_path / "images" / MISTAKES) as picture:
        assert picture.size == (72, HEAD + 2 * (72 + GAP) - GAP)
        assert picture.getpixel((36, HEAD + 36)) == (255, 255, 255)
        assert picture.getpixel((36, HEAD + 72 + GAP + 36)) == (200, 200, 200)


def by_redness(images):
    """Logits (N, 9, H, W) of how red a pixel is, in nine steps."""
    level = ((images[:, 0] + 1) * 4.5).long().clamp(0, 8)
    return torch.nn.functional.one_hot(level, 9).permute(0, 3, 1, 2).float()


def test_find_lowest_iou_is_that_of_a_naive_loop():
    scenes = Streets(look="photo", test=5).load(None, "test")
    palette = [(20 * k, 10, 20) for k in range(9)]
    with torch.no_grad():
        counts = count_pixels(by_redness, scenes, 9, CPU, batch=1)
        worst = find_lowest_iou(by_redness, counts, scenes, palette, CPU, "fp32")
    naive = []
    for i in range(5):
        image, mask, _ = scenes.read(i)
        predicted = by_redness(image[None].float() / 127.5 - 1).argmax(1)[0]
        known = mask != IGNORE
        truths = [k for k in range(9) if (mask == k).any()]
        hits = [((predicted == k) & (mask == k)).sum() for k in truths]
        either = [(((predicted == k) | (mask == k)) & known).sum() for k in truths]
        naive.append(np.mean([int(h) / int(e) for h, e in zip(hits, either, strict=True)]))
    order = np.argsort(naive, kind="stable")
    assert worst.arrays["mistake_index"].tolist() == order.tolist()
    assert worst.arrays["mistake_iou"] == pytest.approx(np.array(naive)[order], abs=1e-6)
    assert worst.arrays["mistake_name"].tolist() == [scenes.names[i] for i in order]
    assert list(worst.columns) == ["image", "truth", "predicted"]
    height, width = scenes.read(0).image.shape[1:]
    small = (5, 3, round(height * min(1, mistakes.WIDEST / width)), min(width, mistakes.WIDEST))
    assert {tuple(column.shape) for column in worst.columns.values()} == {small}
    assert IMAGES_WITH_MASKS >= 5


def test_find_lowest_iou_leaves_out_scenes_that_are_right():
    scenes = Streets(look="photo", test=3).load(None, "test")
    counts = torch.eye(9, dtype=torch.int32).repeat(3, 1, 1)
    assert find_lowest_iou(by_redness, counts, scenes, [(0, 0, 0)] * 9, CPU, "fp32") is None


@pytest.mark.trains
def test_mistakes_of_a_stage_are_kept_with_its_digests(finished):
    for stage in finished[0].stages:
        folder = RunFolder(stage.folder)
        stored = folder.arrays("analysis.npz")
        wrong = stored["predicted_target"] != stored["label_target"]
        rows = stored["mistake_index"]
        assert len(rows) == len(set(rows)) == min(mistakes.IMAGES, wrong.sum())
        assert (stored["mistake_true"] == stored["label_target"][rows]).all()
        assert (stored["mistake_predicted"] == stored["predicted_target"][rows]).all()
        assert wrong[rows].all()
        assert (np.diff(stored["mistake_probability"]) <= 0).all()
        assert f"images/{MISTAKES}" in json.loads((stage.folder / "done").read_text())["files"]
        assert folder.changed() == {}
