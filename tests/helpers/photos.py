"""Folders of photos, and what a run leaves behind."""

from pathlib import Path

import numpy as np
from PIL import Image

from cycada.runs.verify import every_run
from cycada.storage.store import RunFolder


def outcome(results):
    """stage -> digests of what training and scoring wrote, and the rows without what a clock wrote."""
    found = {}
    for path in every_run(Path(results)):
        folder = RunFolder(path)
        digests = {
            name: value
            for name, value in folder.digests().items()
            if name not in ("config.yaml", "manifest.json", "metrics.jsonl")
        }
        rows = [{key: value for key, value in row.items() if key != "rate"} for row in folder.metrics()]
        found[folder.id] = (digests, rows)
        assert not list(path.glob("checkpoint-*")), path
    return found


def photos(folder, count=6):
    folder.mkdir()
    for i in range(count):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (20, 24, 3), np.uint8)).save(
            folder / f"{i}.png"
        )
    return folder
