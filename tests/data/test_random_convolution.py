"""Random convolutions against a naive loop, and their invariants."""

import pytest
import torch
import torch.nn.functional as F

from cycada.data import Augment
from cycada.data.random_convolution import KERNEL_SIZES, convolve_randomly


def some(n=6, channels=3, side=9, seed=3):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_each_image_is_mixed_with_its_own_convolution(channels, seed):
    images = some(channels=channels)
    torch.manual_seed(seed)
    (changed,) = convolve_randomly([images], 0.7)
    torch.manual_seed(seed)
    side = KERNEL_SIZES[int(torch.randint(4, ()))]
    kernels = torch.randn(6, channels, channels * side * side) / (channels * side * side) ** 0.5
    chosen, share = torch.rand(6) < 0.7, torch.rand(6)
    for i, image in enumerate(images):
        if not chosen[i]:
            assert torch.equal(changed[i], image)
            continue
        padded = F.pad(image[None], [side // 2] * 4, mode="replicate")
        convolved = F.conv2d(padded, kernels[i].view(channels, channels, side, side))[0]
        mixed = share[i] * image + (1 - share[i]) * convolved
        assert torch.allclose(changed[i], mixed / max(1.0, mixed.abs().max().item()), atol=1e-5)


def test_images_stay_within_their_range_and_flat_ones_stay_flat():
    torch.manual_seed(0)
    for _ in range(8):
        changed, flat = convolve_randomly([some(40), torch.full((40, 3, 9, 9), -1.0)], 1.0)
        assert changed.abs().max() <= 1
        assert flat.std((2, 3)).max() < 1e-5


def test_a_partner_gets_the_kernel_of_its_image():
    images = some()
    torch.manual_seed(0)
    one, other = Augment(random_convolution=1.0).together(images, images)
    assert torch.equal(one, other)
    assert not torch.equal(one, images)


def test_a_chance_of_zero_changes_nothing_and_draws_nothing():
    images = some()
    before = torch.get_rng_state()
    assert torch.equal(Augment()(images), images)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(convolve_randomly([images], 0.0)[0], images)
