"""A model card: README.md with YAML front matter, as model hubs read it (Mitchell et al. 2019; Hugging Face's fields)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cycada.config.schema import Spec
from cycada.evaluation.scoring import stored_scores
from cycada.inference.export_format import ONNX, WEIGHTS, Exported
from cycada.storage.store import RunFolder


def card(about: Exported, folder: RunFolder, onnx: bool) -> str:
    """The text. Scores are those of the run folder: scores.json and, where it was measured, quality.json."""
    looks, becomes = (about.source, about.target) if about.direction == "st" else (about.target, about.source)
    head = {
        "library_name": "cycada",
        "pipeline_tag": "image-to-image",
        "tags": ["image-translation", "unpaired", about.method, about.architecture["name"]],
        "license": "other",
        "license_name": "see-the-data",
    }
    if about.method == "pix2pix":
        head["tags"].remove("unpaired")  # type: ignore[attr-defined]
    height, width = about.size
    facts = {
        "run": f"`{about.run}` ({about.experiment}, stage {about.stage})",
        "method": about.method,
        "network": f"`{about.role}`: {', '.join(f'{k} {v}' for k, v in about.architecture.items())}",
        "images": f"{about.channels} channels, values in [-1, 1], height and width multiples of {about.multiple_of}",
        "size in training": f"{height} x {width}"
        + ("" if about.window == about.size else f", windows of {about.window[0]} x {about.window[1]}"),
        "steps": f"{about.steps} of {folder.read_json('manifest.json')['batch']} images",
        "seed": str(about.seed),
        "selection": "last step",
    }
    counts = folder.read_json("manifest.json").get("images", {})
    onnx_line = f"`{ONNX}` takes `image` (batch, {about.channels}, height, width), float32 in [-1, 1], and gives `translated`."
    return "\n".join(
        [
            "---", yaml.safe_dump(head, sort_keys=False).strip(), "---", "",
            f"# {looks} → {becomes}", "",
            f"Translates images that look like `{looks}` so that they look like `{becomes}`.", "",
            *_table(facts), "",
            "## Trained on", "",
            f"Source `{about.source}`, target `{about.target}`. Images: {', '.join(f'{name} {n}' for name, n in counts.items())}.", "",
            *_section("Losses at the last step", _losses(folder)),
            *_section("Scores", _scores(folder)),
            "## Use", "",
            "```python", "import cycada", "from PIL import Image", "",
            f'translator = cycada.load_generator("{WEIGHTS}")',
            'translator(Image.open("photo.jpg"), size="keep").save("translated.png")', "```", "",
            f"`translator.net` is the torch module. A whole folder: `cycada translate {WEIGHTS} photos/ out/ --size keep`.",
            *([onnx_line] if onnx else []),
            "", "## Licence", "",
            "The weights were learnt from the data named above. Whether they may be used, passed on or sold is decided by the terms of",
            "those data, which this file does not know: look them up, and put the licence into the head of this card.",
            "A translated image shows what the generator makes up, not what was there: it is no evidence of anything.", "",
        ]
    )  # fmt: skip


def data_name(spec: Spec) -> str:
    """A domain and the words among its options that training pictures depend on: `camvid (dusk)`. Of an absolute path the last part."""
    kept = [
        v
        for key, v in spec.options.items()
        if key not in ("test", "labels", "classes") and isinstance(v, str)
    ]
    words = [Path(v).name if Path(v).is_absolute() else v for v in kept]
    return f"{spec.name} ({', '.join(words)})" if words else spec.name


def _section(title: str, values: Mapping[str, float]) -> list[str]:
    return (
        [f"## {title}", "", *_table({name: f"{value:.4g}" for name, value in values.items()}), ""]
        if values
        else []
    )


def _table(rows: Mapping[str, str]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _losses(folder: RunFolder) -> dict[str, float]:
    rows = [row for row in folder.metrics() if any(key.startswith("loss/") for key in row)]
    return {key[5:]: value for key, value in rows[-1].items() if key.startswith("loss/")} if rows else {}


def _scores(folder: RunFolder) -> dict[str, float]:
    found = {"scores": stored_scores(folder)}
    if (folder.path / "quality.json").exists():
        found["quality"] = folder.read_json("quality.json")
    return {name.removeprefix("scores "): value for name, value in _numbers(found)}


def _numbers(found: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The single numbers of nested dictionaries; what is a list, such as scores by class, is left out."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _numbers(value, f"{name} {key}".strip())
    elif isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
        yield name, float(found)
