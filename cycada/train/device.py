"""Devices, precision, seeds, and communication between processes.

It is plain PyTorch. Under `torchrun` every process runs the same program on its own batches; weights are
broadcast once, and gradients are averaged in one flat all-reduce for each phase. Modules keep their class and
their state_dict keys.
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
    """Return a 56-bit seed that depends on all parts and is the same on every machine."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=7).digest(), "big")


@dataclass(frozen=True)
class Device:
    """Device of one process, and its place among all processes.

    Attributes:
        torch_device: The device in PyTorch.
        rank: Number of the process, from 0; process 0 writes all files.
        world: Number of processes.
    """

    torch_device: torch.device
    rank: int = 0
    world: int = 1

    @staticmethod
    def find(name: str | torch.device = "auto") -> Device:
        """Return the device of a name, after joining the process group if torchrun has started the process.

        Args:
            name: `cpu`, `cuda`, `cuda:NUMBER` or `mps`, or such a device of PyTorch; `auto` is a CUDA GPU if
                there is one, else the CPU.

        Raises:
            CycadaError: The name is unknown, or this machine has no such device.
        """
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        name = str(name)
        try:
            known_device(name)
        except ValueError as error:
            raise CycadaError(f"device: {error}") from None
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise CycadaError(
                f"device: '{name}' was asked for, but torch sees no GPU here. Use device=cpu or device=auto."
            )
        if name == "mps" and not torch.backends.mps.is_available():
            raise CycadaError(
                "device: 'mps' was asked for, but this is no Mac with a GPU that torch can use. Use "
                "device=cpu or device=auto."
            )
        if name.startswith("cuda:") and int(name[5:]) >= torch.cuda.device_count():
            raise CycadaError(
                f"device: '{name}' was asked for, but torch sees {torch.cuda.device_count()} here, counted "
                f"from cuda:0."
            )
        if name == "cuda" and world > 1:
            name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        device = torch.device(name)
        if device.type == "cuda":
            torch.cuda.set_device(device)
            torch.backends.cudnn.benchmark = True
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=world)
        return Device(device, rank, world)

    @property
    def main(self) -> bool:
        """Whether this is process 0, which writes all files."""
        return self.rank == 0

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        """Return a context in which forward passes have a precision."""
        return torch.autocast(self.torch_device.type, torch.bfloat16, enabled=precision == "bf16")

    def synchronize(self) -> None:
        """Wait until the device has computed all that it was given; the CPU always has."""
        if self.torch_device.type == "cuda":
            torch.cuda.synchronize(self.torch_device)
        elif self.torch_device.type == "mps":
            torch.mps.synchronize()

    def seed(self, *parts: object) -> None:
        """Seed all random numbers from here on by `parts` and the rank.

        So no state of a generator ever has to be saved.
        """
        value = seed_of(*parts, self.rank)
        if self.torch_device.type == "cpu":
            torch.default_generator.manual_seed(value)  # torch.manual_seed looks for every other device first
        else:
            torch.manual_seed(value)

    def broadcast(self, modules: Iterable[nn.Module]) -> None:
        """Copy process 0's parameters and buffers to all processes."""
        if self.world > 1:
            for module in modules:
                for tensor in (*module.parameters(), *module.buffers()):
                    dist.broadcast(tensor.data, 0)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Average the gradients of parameters over all processes, in one flat all-reduce.

        A parameter without a gradient counts as 0, so that all processes send the same number of values.
        """
        if self.world == 1:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        dist.all_reduce(flat)
        flat /= self.world
        for parameter, mean in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(mean.view_as(parameter))

    def average(self, value: Tensor) -> Tensor:
        """Return the mean of a float tensor over all processes.

        A gate is averaged before it decides, so that all processes decide alike.
        """
        if self.world == 1:
            return value
        value = value.clone()
        dist.all_reduce(value)
        return value / self.world

    def average_buffers(self, nets: nn.Module) -> None:
        """Average batch-norm statistics over all processes, before evaluating or saving.

        Each process keeps its own image pools and queues: the mean of several images is no image.

        Args:
            nets: All networks of a stage by role.
        """
        if self.world > 1:
            for name, buffer in nets.named_buffers():
                if buffer.is_floating_point() and not name.startswith("pool_"):
                    buffer.copy_(self.average(buffer))

    def share(self, value: Any) -> Any:
        """Return process 0's value, which must be picklable, in all processes."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0, device=self.torch_device)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Return all processes' values, in order, in process 0, and an empty list in the others."""
        if self.world == 1:
            return [value]
        box: list[Any] | None = [None] * self.world if self.main else None
        dist.gather_object(value, box, 0)
        return box or []

    def describe(self) -> str:
        """Return the device in words, such as `1 x NVIDIA H100`."""
        if self.torch_device.type == "cuda":
            return f"{self.world} x {torch.cuda.get_device_name(self.torch_device)}"
        return f"CPU, {torch.get_num_threads()} threads" + (
            f", {self.world} processes" if self.world > 1 else ""
        )
