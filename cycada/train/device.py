"""Where tensors live: precision, seeds, and the few things that several processes have to agree on.

Plain torch. Under `torchrun` every process runs the same program on its own share of the batch; weights are broadcast
once, gradients are averaged in one flat all-reduce per phase. Modules keep their class and their state_dict keys.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cycada.core.bounds import known_device
from cycada.core.errors import CycadaError

Precision = Literal["fp32", "bf16"]


def seed_of(*parts: object) -> int:
    """A 56-bit seed that depends on every part, the same on every machine."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=7).digest(), "big")


@dataclass(frozen=True)
class Device:
    """One process's device. rank 0 is the one that writes."""

    torch_device: torch.device
    rank: int = 0
    world: int = 1

    @staticmethod
    def find(name: str = "auto") -> Device:
        """auto: this process's GPU where there is one, else the CPU. Joins the process group that torchrun announces."""
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        try:
            known_device(name)
        except ValueError as error:
            raise CycadaError(str(error)) from None
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise CycadaError(
                f"device: '{name}' was asked for, but torch sees no GPU here. Use device=cpu or device=auto."
            )
        if name == "mps" and not torch.backends.mps.is_available():
            raise CycadaError(
                "device: 'mps' was asked for, but this is no Mac with a GPU that torch can use. Use device=cpu or device=auto."
            )
        if name.startswith("cuda:") and int(name[5:]) >= torch.cuda.device_count():
            raise CycadaError(
                f"device: '{name}' was asked for, but torch sees {torch.cuda.device_count()} here, counted from cuda:0."
            )
        if name == "cuda" and world > 1:
            name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        device = torch.device(name)
        if device.type == "cuda":
            torch.cuda.set_device(device)
            torch.backends.cudnn.benchmark = True
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=world)
        return Device(device, rank, world)

    @property
    def main(self) -> bool:
        return self.rank == 0

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        return torch.autocast(self.torch_device.type, torch.bfloat16, enabled=precision == "bf16")

    def seed(self, *parts: object) -> None:
        """Everything random from here on depends on `parts` and the rank alone: no generator state is ever saved."""
        torch.manual_seed(seed_of(*parts, self.rank))

    def broadcast(self, modules: Iterable[nn.Module]) -> None:
        """Every process gets rank 0's parameters and buffers."""
        if self.world > 1:
            for module in modules:
                for tensor in (*module.parameters(), *module.buffers()):
                    dist.broadcast(tensor.data, 0)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """One flat all-reduce. Parameters without a gradient count as zero, so that all processes send the same size."""
        if self.world == 1:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        dist.all_reduce(flat)
        flat /= self.world
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view_as(parameter))

    def average(self, value: Tensor) -> Tensor:
        """The mean of a float tensor over all processes; a gate is averaged before it decides."""
        if self.world == 1:
            return value
        value = value.clone()
        dist.all_reduce(value)
        return value / self.world

    def average_buffers(self, module: nn.Module) -> None:
        """Batch-norm statistics become the mean over the processes (before eval_mode or saving)."""
        if self.world > 1:
            for name, buffer in module.named_buffers():
                if buffer.is_floating_point() and not name.startswith("pool"):
                    buffer.copy_(self.average(buffer))

    def share(self, value: Any) -> Any:
        """Every process gets rank 0's picklable value."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0, device=self.torch_device)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Rank 0 gets every process's value, in order; the others get an empty list."""
        if self.world == 1:
            return [value]
        box: list[Any] | None = [None] * self.world if self.main else None
        dist.gather_object(value, box, 0)
        return box or []

    def describe(self) -> str:
        if self.torch_device.type == "cuda":
            return f"{self.world} x {torch.cuda.get_device_name(self.torch_device)}"
        return f"CPU, {torch.get_num_threads()} threads" + (
            f", {self.world} processes" if self.world > 1 else ""
        )
