"""The command `cycada doctor`: what this machine offers, and whether it suffices."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cycada import __version__
from cycada.cli.options import DataRoot, Results
from cycada.core.errors import CycadaError, os_message
from cycada.core.versions import installed_version


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        value: What was found.
        fault: What to do about it, where nothing can be trained as it is; otherwise empty.
    """

    name: str
    value: str
    fault: str = ""


def doctor(
    results: Results = Path("results"),
    root: DataRoot = Path("data"),
) -> None:
    """Show what this machine offers: versions, device, threads, memory, disk, data and tracker."""
    found = []
    for finding in examine(results, root):
        print(f"{finding.name:<10}{finding.value}", flush=True)
        found.append(finding)
    if faults := [f"{finding.name}: {finding.fault}" for finding in found if finding.fault]:
        raise CycadaError("\n  ".join(["doctor: something is missing.", *faults]))
    print("Nothing is missing. `cycada run demo` trains without a download.")


def examine(results: Path, root: Path) -> Iterator[Finding]:
    """Look at this machine, and yield one finding after the other.

    Args:
        results: The folder of all results, in which a file is written and deleted again.
        root: The data root.
    """
    yield Finding("cycada", f"{__version__}, {Path(__file__).resolve().parents[1]}")
    yield Finding("python", f"{platform.python_version()}, {platform.platform()}")
    yield from _torch()
    yield _memory()
    yield from _disk(results)
    yield _data(root)
    yield Finding("tracker", f"MLflow {installed_version('mlflow')}")
    extras = ("onnx", "onnxruntime", "submitit")
    yield Finding("extras", ", ".join(f"{name} {installed_version(name)}" for name in extras))


def _torch() -> Iterator[Finding]:
    import torch

    from cycada.core.cpu import computes_bf16
    from cycada.train.device import Device

    yield Finding(
        "torch",
        f"{torch.__version__}, with torchvision {installed_version('torchvision')}, "
        f"timm {installed_version('timm')}",
    )
    device = Device.find("auto")
    try:
        total = (
            torch.ones(64, 64, device=device.torch_device)
            .matmul(torch.ones(64, 64, device=device.torch_device))
            .sum()
        )
        fault = "" if int(total) == 64**3 else f"it multiplied wrongly ({int(total)}, expected {64**3})."
    except RuntimeError as error:
        fault = f"it cannot multiply matrices ({' '.join(str(error).split())[:200]}). Set device=cpu."
    yield Finding("device", device.describe(), fault)
    in_bf16 = device.torch_device.type != "cpu" or computes_bf16()
    yield Finding(
        "bf16",
        "computed by the device"
        if in_bf16
        else "not computed by this processor, 6 to 11 times slower than fp32; `precision: auto` takes fp32",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("threads", f"{torch.get_num_threads()} of PyTorch, on {cores} cores")


def _memory() -> Finding:
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES") / 1e9
    free = (
        f", {page * os.sysconf('SC_AVPHYS_PAGES') / 1e9:.1f} GB of it free"
        if "SC_AVPHYS_PAGES" in os.sysconf_names
        else ""
    )
    return Finding("memory", f"{total:.1f} GB{free}")


def _disk(results: Path) -> Iterator[Finding]:
    """Yield the free space where results go, and whether a file can be written there."""
    from cycada.core.files import prepare_folder, write_text

    there = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.exists())
    yield Finding("disk", f"{shutil.disk_usage(there).free / 1e9:.1f} GB free for {results}")
    probe, made = results / f".doctor-{os.getpid()}", not results.exists()
    try:
        write_text(prepare_folder(results) / probe.name, "written by cycada doctor\n")
        read_back = probe.read_text(encoding="utf-8")
        probe.unlink()
        if made:
            results.rmdir()
    except (OSError, CycadaError) as error:
        message = os_message(error) if isinstance(error, OSError) else str(error)
        yield Finding(
            "writing", "failed", f"{message} Give another folder: --results, or results= in a config."
        )
    else:
        yield Finding(
            "writing", f"works in {results}", "" if read_back else f"{results} gives back empty files."
        )


def _data(root: Path) -> Finding:
    """Return which domains have at least one of their files under the data root; no image is opened."""
    from cycada.data import domains, segmentation_domains
    from cycada.data.inspect import default_instance

    found = []
    known: dict[str, Any] = {**domains, **segmentation_domains}
    for name, entry in known.items():
        plain = default_instance(entry)
        folder = root / str(getattr(plain, "folder", ""))
        files = [file.removeprefix("optionally ").split(" ")[0] for file in entry.files]
        if not isinstance(plain, str) and any(next(folder.glob(file), None) for file in files):
            found.append(name)
    generated = [
        name
        for name, entry in known.items()
        if not entry.files and not isinstance(default_instance(entry), str)  # whose options name no folder
    ]
    return Finding(
        "data", f"{', '.join(found) or 'no files'} under {root}; without files: {', '.join(generated)}"
    )
