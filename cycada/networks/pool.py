"""The image pool, a history of translated images (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from cycada.networks.store import Store


class ImagePool(Store):
    """A store of translated images that shows a discriminator old and new ones.

    The pool is that of Shrivastava et al. (2017, section 2.3). New images are handled one after the other, as
    in the CycleGAN release. While there are free places, a new image is stored and returned. Once all places
    are taken, it is returned with probability 1/2; otherwise it replaces a random stored image, which is
    returned in its place.

    Random numbers come from torch's global CPU generator, which the training loop seeds at every step. All
    choices are made as indices on the host, so that the device runs two gathers and never has to wait.

    Args:
        size: The number of stored images; with 0 new images are returned as they are.
        image_shape: (C, H, W) of an image.
    """

    images: Tensor

    def __init__(self, size: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *image_shape))

    @torch.no_grad()
    def forward(self, new: Tensor) -> Tensor:
        """Store new images, and return as many new or stored ones.

        Args:
            new: (N, C, H, W).

        Returns:
            (N, C, H, W) without gradient, in the precision of `new`.
        """
        if self.size == 0:
            return new.detach()
        stored, shown = self._plan(len(new))
        everything = torch.cat([self.images, new.to(self.images.dtype)])
        self.images.copy_(everything[stored.to(new.device, non_blocking=True)])
        self._note(self._filled)
        return everything[shown.to(new.device, non_blocking=True)].to(new.dtype)

    def _plan(self, count: int) -> tuple[Tensor, Tensor]:
        """Return which of [stored images, new images] to store and which to show, for `count` new ones."""
        stored = list(range(self.size))
        shown = []
        swap, place = torch.rand(count).tolist(), torch.randint(self.size, (count,)).tolist()
        for i in range(count):
            image = self.size + i
            if self._filled < self.size:
                stored[self._filled] = image
                self._filled += 1
            elif swap[i] > 0.5:
                stored[place[i]], image = image, stored[place[i]]
            shown.append(image)
        return torch.tensor(stored), torch.tensor(shown)
