"""Translate the source by a frozen g_st before training, for stages with `translate: once`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from cycada.config.schema import digest
from cycada.core.errors import list_some
from cycada.core.files import bytes_digest, prepare_folder, write_json
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.lock import locked
from cycada.core.progress import Progress
from cycada.data import ImageDataset, ImageSet, to_bytes, to_float
from cycada.data.translated import checksum, with_translations, write_png
from cycada.evaluation.predict import eval_mode
from cycada.methods.cycada import translated_at
from cycada.networks.registries import generators
from cycada.planning.plan import StagePlan
from cycada.storage.identity import FORMAT
from cycada.train.device import Device

BATCH = 256
"""Batch size of the translation of images with image-level labels."""


def translate_once(
    folder: Path,
    plan: StagePlan,
    device: Device,
    screen: Progress,
    g_st: nn.Module,
    source: ImageSet,
) -> ImageSet:
    """Return the source dataset with the translation of each image as its partner.

    Translations of images in memory stay in memory too; those of images that are read when they are needed
    are kept on disk.

    Args:
        folder: Where translations are kept.
        plan: The stage.
        device: Where to translate.
        screen: Where progress is shown.
        g_st: The frozen generator.
        source: The labelled source images.

    Raises:
        Interrupted: After Ctrl-C; the same command continues.
    """
    if isinstance(source, ImageDataset):  # its images are one tensor, which needs no files
        return _translate_in_memory(plan, device, screen, g_st, source)
    return _translate_on_disk(folder, plan, device, screen, g_st, source)


def _translate_in_memory(
    plan: StagePlan, device: Device, screen: Progress, g_st: nn.Module, examples: ImageDataset
) -> ImageDataset:
    """Translate in every process for itself; it takes seconds, and a resumed run repeats it identically."""
    translate, images, began = _translation(plan, g_st), examples.images, time.perf_counter()
    translated: list[Tensor] = []
    screen.begin(f"{plan.name}: g_st", 0, len(images))
    with (
        stop_on_signal(enabled=device.world == 1) as stopped,
        eval_mode(g_st),
        device.autocast(plan.stage.precision),
    ):
        try:
            for batch in images.split(BATCH):
                output = translate(to_float(batch.to(device.torch_device)))
                translated.append(to_bytes(output).to(images.device))
                done = min(len(translated) * BATCH, len(images))
                screen.update(done, done / (time.perf_counter() - began), {})
                if stopped.is_set():
                    raise Interrupted(
                        f"Stopped while stage '{plan.name}' translated its source. "
                        "The same command continues from there."
                    )
        finally:
            screen.end()
    return replace(examples, partners=torch.cat(translated))


def _translate_on_disk(
    folder: Path, plan: StagePlan, device: Device, screen: Progress, g_st: nn.Module, images: ImageSet
) -> ImageSet:
    """Translate whole images at the stage's size and precision to `folder`/KEY/NAME.png.

    With the option `translate_at` their size is multiplied by it. Files that exist are kept, unless they were
    changed since they were written, which the marks in KEY.json tell. KEY is a hash of
    everything that the translations depend on, so that stages and experiments with the same g_st share them.
    One run translates while the others wait; several processes of one stage share the work.
    """
    key = _key(plan, g_st, images)
    files, marks = [folder / key / f"{name}.png" for name in images.names], folder / f"{key}.json"
    lock: AbstractContextManager[None] = nullcontext()
    if device.main:
        prepare_folder(folder)
        lock = locked(
            folder / f"{key}.lock",
            lambda: screen.info(f"stage {plan.name}: another run translates {key}; waiting for it."),
        )
    with lock:
        if device.main:
            for parent in {file.parent for file in files}:
                prepare_folder(parent, alone=True)
        missing = device.share(_find_missing(marks, files, screen) if device.main else None)
        if missing:
            screen.info(
                f"stage {plan.name}: translating {len(missing)} of {len(files)} source images, once "
                f"({folder / key})"
            )
            _translate_missing(plan, device, screen, g_st, images, files, missing)
        device.share(device.gather(None))  # no process trains before the last file is written
        if device.main:
            _write_marks(marks, files)
    return with_translations(images, files)


def _find_missing(marks: Path, files: Sequence[Path], screen: Progress) -> list[int]:
    """Return the indices of the files that are to be written: absent, cut off, or changed by somebody."""
    known, found = _read_marks(marks), [checksum(file) for file in files]
    # What has no mark was written by an earlier version, or by a run that was stopped before the last file.
    changed = {i for i, now in enumerate(found) if now and known.get(_name(marks, files[i]), now) != now}
    if changed:
        screen.warn(
            f"{len(changed)} translations were changed since they were written, and are made anew: "
            f"{list_some([str(files[i]) for i in sorted(changed)])}."
        )
    return [i for i, now in enumerate(found) if not now or i in changed]


def _name(marks: Path, file: Path) -> str:
    """Return a translation's name, by which the file beside the folder of translations holds its mark."""
    return file.relative_to(marks.with_suffix("")).as_posix()


def _read_marks(marks: Path) -> dict[str, str]:
    try:
        known = json.loads(marks.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write_marks(marks: Path, files: Sequence[Path]) -> None:
    """Note the marks of all files, unless they are noted already."""
    found = {_name(marks, file): checksum(file) for file in files}
    if found != _read_marks(marks):
        write_json(marks, found, indent=None)


def _key(plan: StagePlan, g_st: nn.Module, images: ImageSet) -> str:
    weights = save({name: value.detach().cpu().contiguous() for name, value in g_st.state_dict().items()})
    return digest(
        {
            "format": FORMAT,
            "network": plan.specs["g_st"].model_dump(),
            "weights": bytes_digest(weights, size=8),
            "images": images.fingerprint(labels=False),
            "size": images.size,
            "precision": plan.stage.precision,
        }
        | ({"plugin": source} if (source := generators.source(plan.specs["g_st"].name)) else {})
        | ({} if (scale := _scale(plan)) is None else {"translate_at": scale})
    )


def _scale(plan: StagePlan) -> float | None:
    return getattr(plan.options, "translate_at", None)


def _translation(plan: StagePlan, g_st: nn.Module) -> Callable[[Tensor], Tensor]:
    scale = _scale(plan)
    return g_st if scale is None else partial(translated_at, scale, g_st)


def _translate_missing(
    plan: StagePlan,
    device: Device,
    screen: Progress,
    g_st: nn.Module,
    images: ImageSet,
    files: Sequence[Path],
    missing: Sequence[int],
) -> None:
    """Write this process's share of the missing files."""
    translate = _translation(plan, g_st)
    existing, began = len(files) - len(missing), time.perf_counter()
    screen.begin(f"{plan.name}: g_st", existing, len(files))
    with (
        stop_on_signal(enabled=device.world == 1) as stopped,
        eval_mode(g_st),
        device.autocast(plan.stage.precision),
    ):
        try:
            for turn, i in enumerate(missing[device.rank :: device.world], 1):
                image = images.read(i)[0].to(device.torch_device)
                write_png(files[i], to_bytes(translate(to_float(image[None])))[0])
                done = min(turn * device.world, len(missing))
                screen.update(existing + done, done / (time.perf_counter() - began), {})
                if stopped.is_set():
                    where = f"{existing + done} of {len(files)} translations of stage '{plan.name}'"
                    raise Interrupted(f"Stopped after {where}. The same command continues from there.")
        finally:
            screen.end()
