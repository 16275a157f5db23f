"""What `cycada quality` measured of a finished stage, in its run folder's quality.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cycada.storage.store import RunFolder

FILE = "quality.json"
FORMAT = 3
"""Version of the measurements; increase it when the same networks would get other numbers.

What was measured before is then measured again.
"""


def measured(folder: RunFolder) -> dict[str, Any]:
    """Return the measurements in quality.json, by what they were made with.

    They are empty where there is no such file, or where its format is another one.
    """
    if not (folder.path / FILE).exists():
        return {}
    content = folder.read_json(FILE)
    return dict(content["measured"]) if content.get("format") == FORMAT else {}


def by_part(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the measurements by part: pixels, labels, and fcn and features as measured last.

    Args:
        stored: What `measured` returned, whose keys name a scorer or an extractor, too.
    """
    parts = {"scorer": "fcn", "extractor": "features"}
    return {parts.get(kind := key.split()[0], kind): block for key, block in stored.items()}
