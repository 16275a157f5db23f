"""The image pool: discriminators see a history of translated images (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Keeps `size` single images. Each new image, one after the other as in CycleGAN, fills a free place and is
    returned; once all are taken it is, with probability 1/2, swapped for a random stored one.

    Random draws come from torch's global CPU generator, which the loop seeds per step. The plan is made of indices on
    the host, so that the device does two gathers and never waits. size 0 returns what comes in.
    """

    images: Tensor

    def __init__(self, size: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *image_shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self._filled = 0  # a host copy of `filled`: reading the buffer would wait for the device

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)  # type: ignore[arg-type]
        self._filled = int(state_dict[prefix + "filled"])

    @torch.no_grad()
    def forward(self, new: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W) without gradient, in the precision of `new`."""
        if self.size == 0:
            return new.detach()
        stored, shown = self._plan(len(new))
        everything = torch.cat([self.images, new.to(self.images.dtype)])
        self.images.copy_(everything[stored.to(new.device, non_blocking=True)])
        self.get_buffer("filled").fill_(self._filled)
        return everything[shown.to(new.device, non_blocking=True)].to(new.dtype)

    def _plan(self, count: int) -> tuple[Tensor, Tensor]:
        """Which of [stored images, new images] is stored, and which is shown, after `count` new ones."""
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
