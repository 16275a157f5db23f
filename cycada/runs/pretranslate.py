"""The source's training images through a frozen g_st, once: what a stage with `translate: once` trains on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from cycada.config.schema import digest
from cycada.core.files import bytes_digest, ready
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.lock import locked
from cycada.core.progress import Progress
from cycada.data import ImageDataset, ResizedDataset, Translated, to_bytes, to_float
from cycada.data.translated import is_whole, write_png
from cycada.evaluation.predict import eval_mode
from cycada.methods.cycada import translated_at
from cycada.networks.registries import generators
from cycada.planning.plan import StagePlan
from cycada.storage.identity import FORMAT
from cycada.train.device import Device

BATCH = 256
"""Images with one label each that go through g_st together."""


def translate_once(
    folder: Path,
    plan: StagePlan,
    device: Device,
    screen: Progress,
    g_st: nn.Module,
    source: ResizedDataset | ImageDataset,
) -> Translated | ImageDataset:
    """The source with its translations behind it, (2C, H, W). SegmentationDataset on disk, images with one label each in memory, where these are.

    Raises Interrupted after Ctrl-C; the same command goes on.
    """
    if isinstance(source, ImageDataset):
        return _in_memory(plan, device, screen, g_st, source)
    return _on_disk(folder, plan, device, screen, g_st, source)


def _in_memory(
    plan: StagePlan, device: Device, screen: Progress, g_st: nn.Module, examples: ImageDataset
) -> ImageDataset:
    """By every process for itself: it takes seconds. A resumed run does it again, with the same outcome."""
    translate, images, parts, began = _by(plan, g_st), examples.images, list[Tensor](), time.perf_counter()
    screen.begin(f"{plan.name}: g_st", 0, len(images))
    with (
        stop_on_signal(enabled=device.world == 1) as stopped,
        eval_mode(g_st),
        device.autocast(plan.stage.precision),
    ):
        try:
            for part in images.split(BATCH):
                parts.append(to_bytes(translate(to_float(part.to(device.torch_device)))).to(images.device))
                done = min(len(parts) * BATCH, len(images))
                screen.update(done, done / (time.perf_counter() - began), {})
                if stopped.is_set():
                    raise Interrupted(
                        f"Stopped while stage '{plan.name}' translated its source. The same command goes on from there."
                    )
        finally:
            screen.end()
    return ImageDataset(torch.cat([images, torch.cat(parts)], 1), examples.labels)


def _on_disk(
    folder: Path, plan: StagePlan, device: Device, screen: Progress, g_st: nn.Module, scenes: ResizedDataset
) -> Translated:
    """Every scene whole, at the stage's size (times `translate_at`) and in its precision, as `folder`/KEY/NAME.png.

    What is there is kept. KEY stands for all that the pictures depend on, so that stages and experiments with the same g_st share
    them. One of them translates and the others wait; several processes of one stage share the work.
    """
    key = _key(plan, g_st, scenes)
    files = [folder / key / f"{name}.png" for name in scenes.names]
    alone: AbstractContextManager[None] = nullcontext()
    if device.main:
        ready(folder)
        alone = locked(
            folder / f"{key}.lock",
            lambda: screen.info(f"stage {plan.name}: another run translates {key}; waiting for it."),
        )
    with alone:
        if device.main:
            for place in {file.parent for file in files}:
                ready(place, alone=True)
        missing = device.share(
            [i for i, file in enumerate(files) if not is_whole(file)] if device.main else None
        )
        if missing:
            screen.info(
                f"stage {plan.name}: translating {len(missing)} of {len(files)} source scenes, once ({folder / key})"
            )
            _translate(plan, device, screen, g_st, scenes, files, missing)
        device.share(device.gather(None))  # nobody trains before the last picture is there
    return Translated(scenes, files)


def _key(plan: StagePlan, g_st: nn.Module, scenes: ResizedDataset) -> str:
    weights = save({name: value.detach().cpu().contiguous() for name, value in g_st.state_dict().items()})
    return digest(
        {
            "format": FORMAT,
            "network": plan.specs["g_st"].model_dump(),
            "weights": bytes_digest(weights, size=8),
            "images": scenes.fingerprint(masks=False),
            "size": scenes.size,
            "precision": plan.stage.precision,
        }
        | ({"plugin": source} if (source := generators.source(plan.specs["g_st"].name)) else {})
        | ({} if (scale := _scale(plan)) is None else {"translate_at": scale})
    )


def _scale(plan: StagePlan) -> float | None:
    return getattr(plan.options, "translate_at", None)


def _by(plan: StagePlan, g_st: nn.Module) -> Callable[[Tensor], Tensor]:
    scale = _scale(plan)
    return g_st if scale is None else partial(translated_at, scale, g_st)


def _translate(
    plan: StagePlan,
    device: Device,
    screen: Progress,
    g_st: nn.Module,
    scenes: ResizedDataset,
    files: Sequence[Path],
    missing: Sequence[int],
) -> None:
    """This process's share of the missing files."""
    translate = _by(plan, g_st)
    there, began = len(files) - len(missing), time.perf_counter()
    screen.begin(f"{plan.name}: g_st", there, len(files))
    with (
        stop_on_signal(enabled=device.world == 1) as stopped,
        eval_mode(g_st),
        device.autocast(plan.stage.precision),
    ):
        try:
            for turn, i in enumerate(missing[device.rank :: device.world], 1):
                image = scenes.read(i)[0].to(device.torch_device)
                write_png(files[i], to_bytes(translate(to_float(image[None])))[0])
                done = min(turn * device.world, len(missing))
                screen.update(there + done, done / (time.perf_counter() - began), {})
                if stopped.is_set():
                    where = f"{there + done} of {len(files)} translations of stage '{plan.name}'"
                    raise Interrupted(f"Stopped after {where}. The same command goes on from there.")
        finally:
            screen.end()
