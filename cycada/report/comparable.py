"""What stands between rows so that their scores cannot be compared: other data, other test sets, another evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cycada.config.schema import parse
from cycada.core.differences import dotted
from cycada.core.errors import list_some
from cycada.core.registry import option_defaults
from cycada.data import domains, scene_domains

if TYPE_CHECKING:
    from cycada.report.record import Record
    from cycada.report.rows import Variant

FINGERPRINT = "data_fingerprint"
"""Of what was read: it alone tells where the same settings found other files."""


def incomparable(rows: Sequence[Variant]) -> list[str]:
    """Return a note for each condition under which not all rows were scored; a row that does not know a condition is left out."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for outcome in row.outcomes:
            for key, value in _conditions(outcome.last).items():
                names = found.setdefault(key, {}).setdefault(str(value), [])
                if row.name not in names:
                    names.append(row.name)
    differ = {key: groups for key, groups in found.items() if len(groups) > 1}
    if len(differ) > 1:
        differ.pop(FINGERPRINT, None)  # of course, where the settings differ
    return [
        f"Rows that are not comparable, for {key} differs: {_groups(groups)}."
        for key, groups in differ.items()
    ]


def _groups(groups: dict[str, list[str]]) -> str:
    return "; ".join(f"{value[:80]} ({list_some(names, 4)})" for value, names in list(groups.items())[:5])


def _conditions(record: Record) -> dict[str, Any]:
    """What a score depends on apart from the method, by dotted keys; what an older version did not keep is not there."""
    config = parse(record.config, str(record.folder.path / "config.yaml"))
    data = config.data.model_dump(mode="json", include={"source", "target", "channels", "resize"})
    for side in ("source", "target"):
        data[side] = _defaults(data[side]["name"]) | data[side]
    found = dotted({"data": data, "evaluation": config.evaluation.model_dump(mode="json")})
    height, width = config.shapes(config.stages.get(record.stage))["target"]
    found["the size of test images"] = f"{height} x {width}"
    found |= {f"the number of {name} images": n for name, n in record.manifest.get("images", {}).items()}
    if record.classes:
        found["the set of classes"] = f"{len(record.classes)}: {', '.join(record.classes)}"
    if FINGERPRINT in record.manifest:
        found[FINGERPRINT] = record.manifest[FINGERPRINT]
    return found


def _defaults(domain: str) -> dict[str, Any]:
    """The options of a domain at their defaults, which one config may spell out and another not."""
    registry = next((r for r in (domains, scene_domains) if domain in r), None)
    options = option_defaults(registry[domain]) if registry else {}  # type: ignore[arg-type]
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items()
    }  # as YAML has it
