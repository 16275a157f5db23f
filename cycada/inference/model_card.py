"""Model cards (Mitchell et al. 2019): README.md with YAML front matter in Hugging Face's fields."""

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
    """Write the model card of an exported generator.

    Args:
        about: The description of the generator.
        folder: Its run folder: the scores are those of scores.json and, where it exists, of quality.json.
        onnx: Whether there is an ONNX file.

    Returns:
        The text of README.md.
    """
    before, after = (about.source, about.target) if about.direction == "st" else (about.target, about.source)
    pairing = [] if about.method == "pix2pix" else ["unpaired"]
    head = {
        "library_name": "cycada",
        "pipeline_tag": "image-to-image",
        "tags": ["image-translation", *pairing, about.method, about.architecture["name"]],
        "license": "other",
        "license_name": "see-the-data",
    }
    height, width = about.size
    facts = {
        "run": f"`{about.run}` ({about.experiment}, stage {about.stage})",
        "method": about.method,
        "network": f"`{about.role}`: {', '.join(f'{k} {v}' for k, v in about.architecture.items())}",
        "images": f"{about.channels} channels, values in [-1, 1], height and width multiples of "
        "{about.multiple_of}",
        "size in training": f"{height} x {width}"
        + ("" if about.window == about.size else f", windows of {about.window[0]} x {about.window[1]}"),
        "steps": f"{about.steps} of {folder.read_json('manifest.json')['batch']} images",
        "seed": str(about.seed),
        "selection": "last step",
    }
    counts = folder.read_json("manifest.json").get("images", {})
    images = ", ".join(f"{name} {n}" for name, n in counts.items())
    onnx_line = (
        f"`{ONNX}` takes `image` (batch, {about.channels}, height, width), float32 in [-1, 1], "
        "and gives `translated`."
    )
    return "\n".join(
        [
            "---",
            yaml.safe_dump(head, sort_keys=False).strip(),
            "---",
            "",
            f"# {before} → {after}",
            "",
            f"Translates images that look like `{before}` so that they look like `{after}`.",
            "",
            *_table(facts),
            "",
            "## Trained on",
            "",
            f"Source `{about.source}`, target `{about.target}`. Images: {images}.",
            "",
            *_section("Losses at the last step", _losses(folder)),
            *_section("Scores", _scores(folder)),
            "## Use",
            "",
            "```python",
            "import cycada",
            "from PIL import Image",
            "",
            f'translator = cycada.load_generator("{WEIGHTS}")',
            'translator(Image.open("photo.jpg"), size="keep").save("translated.png")',
            "```",
            "",
            "`translator.net` is the torch module. A whole folder: "
            f"`cycada translate {WEIGHTS} photos/ out/ --size keep`.",
            *([onnx_line] if onnx else []),
            "",
            "## Licence",
            "",
            "The weights were learnt from the data named above. The terms of those data decide whether the "
            "weights",
            "may be used, passed on or sold. This file does not know them: look them up, and put the licence "
            "into",
            "the head of this card.",
            "A translated image shows what the generator makes up, not what was there: it is no evidence of "
            "anything.",
            "",
        ]
    )


def data_name(spec: Spec) -> str:
    """Return the name of a domain with the options that its training pictures depend on.

    An example is `camvid (dusk)`. Of an absolute path, only the last part is shown.
    """
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
    scores = {"scores": stored_scores(folder)}
    if (folder.path / "quality.json").exists():
        scores["quality"] = folder.read_json("quality.json")
    return {name.removeprefix("scores "): value for name, value in _numbers(scores)}


def _numbers(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the single numbers of nested dictionaries by name; lists, as of classes, are left out."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _numbers(value, f"{name} {key}".strip())
    elif isinstance(values, int | float) and not isinstance(values, bool) and math.isfinite(values):
        yield name, float(values)
