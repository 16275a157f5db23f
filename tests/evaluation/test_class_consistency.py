"""How often a translated source image keeps its class, against loops over images and pixels."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cycada.core.types import IGNORE
from cycada.data import ImageDataset, ResizedDataset, SegmentationDataset, to_float
from cycada.data.image_set import evenly_spaced
from cycada.evaluation.class_consistency import IMAGES, SEGMENTATION_IMAGES, class_consistency
from cycada.evaluation.predict import eval_mode
from cycada.methods.cycada import TaskOptions, translation_of
from cycada.train.device import Device

DEVICE = Device(torch.device("cpu"))


class Brightest(nn.Module):
    """The class of a pixel (or of an image, by its mean) is its brightest colour."""

    def __init__(self, whole):
        super().__init__()
        self.whole = whole

    def forward(self, x):
        return x.mean((2, 3)) if self.whole else x


class Turned(nn.Module):
    """A translation that changes colours: what is bright in the first becomes dark there."""

    def forward(self, x):
        return torch.cat([-x[:, :1], x[:, 1:]], 1)


class Drawn(SegmentationDataset):
    def __init__(self, count, labelled=True):
        super().__init__([str(i) for i in range(count)], labelled)
        g = torch.Generator().manual_seed(0)
        self.images = torch.randint(256, (count, 10, 12, 3), generator=g, dtype=torch.uint8)
        self.masks = torch.randint(3, (count, 10, 12), generator=g, dtype=torch.uint8)
        self.masks[:, :2] = IGNORE

    def pair(self, i):
        return self.images[i].numpy(), self.masks[i].numpy() if self.labelled else None


def found(whole, source, by_label):
    net = nn.ModuleList([Brightest(whole), Turned()])
    with eval_mode(net):
        return class_consistency(net[0], net[1], source, by_label, DEVICE, "fp32")


@pytest.mark.parametrize(("by_label", "labelled"), [(True, True), (True, False), (False, True)])
def test_images(by_label, labelled):
    g = torch.Generator().manual_seed(1)
    images = torch.randint(256, (IMAGES + 7, 3, 4, 4), generator=g, dtype=torch.uint8)
    labels = torch.randint(3, (len(images),), generator=g) if labelled else None
    same = 0
    for i in range(IMAGES):
        x = to_float(images[i])
        after = max(range(3), key=[-x[0].mean(), x[1].mean(), x[2].mean()].__getitem__)
        before = labels[i] if by_label and labelled else max(range(3), key=[c.mean() for c in x].__getitem__)
        same += int(after == before)
    assert found(True, ImageDataset(images, labels), by_label) == pytest.approx(same / IMAGES)


@pytest.mark.parametrize(("by_label", "labelled"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("size", [(10, 12), (5, 6)], ids=["as large as the masks", "smaller"])
def test_scenes_count_pixels(by_label, labelled, size):
    scenes = ResizedDataset(Drawn(SEGMENTATION_IMAGES + 5, labelled), size, full_resolution_masks=True)
    same = pixels = 0
    for i in evenly_spaced(len(scenes), SEGMENTATION_IMAGES):
        image, mask, _ = scenes.read(i)
        x = to_float(image[None])
        after, before = Turned()(x), x.argmax(1)[0]
        if by_label and labelled:
            after, before = F.interpolate(after, (10, 12), mode="bilinear"), mask
        after = after.argmax(1)[0]
        for a, b in zip(after.flatten().tolist(), before.flatten().tolist(), strict=True):
            same, pixels = same + int(a == b != IGNORE), pixels + int(b != IGNORE)
    assert found(False, scenes, by_label) == pytest.approx(same / pixels)
    assert 0 < same < pixels


class Counting(nn.Module):
    """Remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape[-2:]))
        return x


@pytest.mark.parametrize(("scale", "size"), [(None, (8, 12)), (0.5, (4, 6))])
def test_the_translation_is_that_of_the_stage(scale, size):
    """A generator that learnt on smaller scenes sees smaller ones here too, and the classifier its answers at
    full size."""
    net, read = nn.ModuleList([Brightest(False), Counting()]), []
    with eval_mode(net):
        class_consistency(
            lambda x: read.append(tuple(x.shape[-2:])) or net[0](x),
            translation_of(TaskOptions(translate_at=scale), net[1]),
            ResizedDataset(Drawn(3), (8, 12), full_resolution_masks=True),
            True,
            DEVICE,
            "fp32",
        )
    assert set(net[1].seen) == {size}
    assert set(read) == {(8, 12)}
