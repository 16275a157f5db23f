"""GTA5 -> Cityscapes without either: every stage of the full recipes for a few steps, at their own sizes, windows and batches.

    python -m experiments.smoke_gta5 [--configs fcn8s drn26 resnet] [--steps 2] [--limit 24] [--folder FOLDER]

Drawn streets stand in, as files in the official layouts and sizes (1914 x 1052 with palette masks, 2048 x 1024 with labelIds).
Each stage runs in a process of its own, whose time and peak of resident memory are written to
results/tables/smoke_gta5.{md,json}. The scores mean nothing. Exit code 1 where a stage needs more than `limit` GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from cycada.config import schema as config
from cycada.data.readers.cityscapes import CLASSES, LABEL_IDS
from cycada.data.streets.domain import Look, draw
from cycada.data.streets.parts import CLASSES as STREET
from cycada.train.device import Device

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "configs" / "segmentation" / "gta5_cityscapes"
OTHER_NAMES = {"pavement": "sidewalk", "sign": "traffic sign"}
GTA5, CITYSCAPES = (1914, 1052), (2048, 1024)
"""Width and height of the frames."""
FRAMES = {"train": 3, "train_extra": 3, "val": 2}
FEWEST = {"train": 2, "train_extra": 1, "val": 1}
"""Enough for every stage to run: on a CPU the scoring of whole frames takes longer than the steps."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    parser.add_argument(
        "--configs",
        nargs="+",
        choices=names,
        default=["fcn8s", "drn26", "resnet"],
        help="of " + str(RECIPES.relative_to(ROOT)),
    )
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--limit", type=float, default=24.0, help="GB that a stage may take")
    parser.add_argument(
        "--folder", type=Path, help="keep data, runs and measurements here, and go on with what is there"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        trees(folder / "data", frames=FEWEST)
        rows = [
            row
            for name in arguments.configs
            for row in smoke(RECIPES / f"{name}.yaml", folder, arguments.steps)
        ]
    out = ROOT / "results" / "tables"
    out.mkdir(parents=True, exist_ok=True)
    command = (
        f"python -m experiments.smoke_gta5 --configs {' '.join(arguments.configs)} --steps {arguments.steps}"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    hardware = f"{Device.find('auto').describe()}, {os.cpu_count()} cores, {memory:.0f} GB"
    (out / "smoke_gta5.json").write_text(
        json.dumps({"command": command, "hardware": hardware, "rows": rows}, indent=1) + "\n"
    )
    (out / "smoke_gta5.md").write_text(markdown(rows, command, hardware))
    print((out / "smoke_gta5.md").read_text())
    sys.exit(any(row["peak_gb"] > arguments.limit for row in rows))


def trees(root: Path, scale: float = 1.0, frames: Mapping[str, int] = FRAMES) -> None:
    """A few frames of either domain in its official layout, with split.mat. scale: of the frames' sides. frames: of Cityscapes'

    parts; GTA5 has as many as `train`, the last of which is its val and its test.
    """
    ids = np.array(
        [dict(zip(CLASSES, LABEL_IDS, strict=True))[OTHER_NAMES.get(name, name)] for name in STREET], np.uint8
    )

    def frame(
        number: int, look: Look, size: tuple[int, int], image_file: Path, mask_file: Path | None
    ) -> None:
        if image_file.exists():
            return
        image, mask = draw(0, number, look, round(size[0] * scale), round(size[1] * scale))
        for file in (image_file, mask_file):
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
        if mask_file:
            picture = Image.fromarray(ids[mask])
            if look == "game":
                picture.putpalette([(37 * k) % 256 for k in range(768)])
            picture.save(mask_file)
        Image.fromarray(image).save(image_file, compress_level=1)

    gta5, cityscapes = root / "gta5", root / "cityscapes"
    for k in range(1, frames["train"] + 1):
        frame(k, "game", GTA5, gta5 / "images" / f"{k:05d}.png", gta5 / "labels" / f"{k:05d}.png")
    last = frames["train"]
    savemat(
        gta5 / "split.mat",
        {"trainIds": [[k] for k in range(1, last)], "valIds": [[last]], "testIds": [[last]]},
    )
    for first, (part, count) in zip((100, 200, 300), frames.items(), strict=True):
        for k in range(count):
            name = f"ulm_{k:06d}_000019"
            mask = cityscapes / "gtFine" / part / "ulm" / f"{name}_gtFine_labelIds.png"
            image = cityscapes / "leftImg8bit" / part / "ulm" / f"{name}_leftImg8bit.png"
            frame(first + k, "photo", CITYSCAPES, image, None if part == "train_extra" else mask)


def smoke(file: Path, folder: Path, steps: int) -> list[dict[str, Any]]:
    """Every stage in turn; those before it are finished and are read."""
    recipe = config.load(file)
    names, rows, kept = list(recipe.stages), [], folder / f"{file.stem}.json"
    measured = {row["stage"]: row for row in json.loads(kept.read_text())} if kept.exists() else {}
    base = [
        f"data.root={folder / 'data'}",
        f"results={folder / 'results'}",
        "data.workers=0",
        "tracking.kind=none",
    ]
    for i, name in enumerate(names):
        overrides = [
            *base,
            *(f"stages.{n}.steps={steps}" for n in names[: i + 1]),
            *(f"stages.{n}=null" for n in names[i + 1 :]),
        ]
        stage = recipe.stages[name]
        if name not in measured:
            began = time.perf_counter()
            summary, peak = run_alone(
                [sys.executable, "-m", "cycada", "run", str(file), *overrides, "--json"]
            )
            found = summary["stages"][name]
            took = {
                "trained_seconds": found["seconds"],
                "seconds": round(time.perf_counter() - began, 1),
                "peak_gb": round(peak, 2),
            }
            measured[name] = {
                "config": file.stem, "stage": name, "id": found["id"], "batch": stage.batch, "window": list(recipe.window(stage)),
                "precision": stage.precision, "steps": steps, **(trained_before(folder, found["id"]) if found["reused"] else took),
            }  # fmt: skip
        rows.append(measured[name])
        print(rows[-1], flush=True)
        kept.write_text(json.dumps(rows))
    return rows


def trained_before(folder: Path, identity: str) -> dict[str, Any]:
    """What a stage took that two recipes share, where it was trained."""
    for kept in folder.glob("*.json"):
        for row in json.loads(kept.read_text()):
            if row["id"] == identity:
                return {key: row[key] for key in ("trained_seconds", "seconds", "peak_gb")}
    raise SystemExit(
        f"{folder / 'results'}: stage {identity} is finished there and was not measured. Remove that folder and start again."
    )


def run_alone(command: list[str]) -> tuple[dict[str, Any], float]:
    """What the command prints as JSON, and its peak of resident memory in GB."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}")
        said.seek(0)
        return json.loads(said.read().splitlines()[-1]), usage.ru_maxrss / 1e6


def markdown(rows: list[dict[str, Any]], command: str, hardware: str) -> str:
    lines = [
        f"Every stage of the full GTA5 -> Cityscapes recipes on drawn stand-ins of the official sizes. `{command}`, {hardware}. "
        "Seconds: of the steps and the evaluation after them, and of the whole process. Peak: of its resident memory. A stage that recipes "
        "share was trained once; its numbers stand in each.",
        "",
        "| config | stage | batch | window | precision | steps | s | s in all | peak GB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        shown = [*(r[k] for k in ("config", "stage", "batch")), "{} x {}".format(*r["window"])]
        shown += [r[k] for k in ("precision", "steps", "trained_seconds", "seconds", "peak_gb")]
        lines.append(f"| {' | '.join(map(str, shown))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
