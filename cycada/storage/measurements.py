"""What `cycada quality` measured of a finished stage, in its run folder's quality.json."""

from __future__ import annotations

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
