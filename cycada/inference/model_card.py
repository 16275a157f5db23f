"""Model cards (Mitchell et al. 2019): README.md with YAML front matter in Hugging Face's fields."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cycada.config.schema import Spec
from cycada.core.errors import list_some
from cycada.evaluation.scores import stored_scores
from cycada.inference.export_format import Exported
from cycada.inference.portable import describe_preprocessing
from cycada.methods import methods
from cycada.storage.exports import WEIGHTS
from cycada.storage.measurements import measured
from cycada.storage.store import RunFolder

NO_SCORES = ("protocol", "n", "n_real", "kid_subset", "untranslated_kid_subset", "real_kid_subset")
"""Keys of quality.json that say how something was measured."""


def make_model_card(about: Exported, folder: RunFolder, any_size: Mapping[str, bool] | None = None) -> str:
    """Return the text of the model card of an exported network.

    Args:
        about: The description of the network.
        folder: Its run folder: the scores are those of scores.json and, where there are any, of quality.json.
        any_size: The portable files beside the weights, each with whether it takes images of any size.

    Returns:
        The text of README.md.
    """
    height, width = about.size
    facts = {
        "run": f"`{about.run}` ({about.experiment}, stage {about.stage})",
        "method": about.method,
        "network": f"`{about.role}`: {', '.join(f'{k} {v}' for k, v in about.architecture.items())}",
        "images": f"{about.channels} channels, values in [-1, 1], height and width multiples of "
        f"{about.multiple_of}",
        "preprocessing": describe_preprocessing(about),
        "size in training": f"{height} x {width}"
        + ("" if about.window == about.size else f", windows of {about.window[0]} x {about.window[1]}"),
        "steps": f"{about.steps} of {folder.read_json('manifest.json')['batch']} images",
        "seed": str(about.seed),
        "selection": "last step",
    }
    if about.plugins:
        facts["plug-ins"] = f"{', '.join(about.plugins)}: import them before loading, on PYTHONPATH"
    counts = folder.read_json("manifest.json").get("images", {})
    images = ", ".join(f"{name} {n}" for name, n in counts.items())
    title, what = _subject(about)
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_head(about), sort_keys=False).strip(),
            "---",
            "",
            f"# {title}",
            "",
            what,
            "",
            *_table(facts),
            "",
            "## Trained on",
            "",
            f"Source `{about.source}`, target `{about.target}`. Images: {images}.",
            "",
            *_section("Losses at the last step", _losses(folder)),
            *_section("Scores", _scores(folder)),
            *_use(about, any_size or {}),
            "",
            "## Limits",
            "",
            *_limits(about),
            "",
            "## Licence",
            "",
            "The terms of the data named above decide whether the weights may be used, passed on or sold.",
            "Look them up, and enter the licence at the top of this card. `cycada export` keeps your edits.",
            "",
        ]
    )


def _head(about: Exported) -> dict[str, Any]:
    """Return the fields of the card's YAML head."""
    kind = ["domain-adaptation"]
    if about.translates:
        kind = ["image-translation", *(["unpaired"] if about.method != "pix2pix" else [])]
    task = "image-segmentation" if about.segmentation else "image-classification"
    return {
        "library_name": "cycada",
        "pipeline_tag": "image-to-image" if about.translates else task,
        "tags": [*kind, about.method, about.architecture["name"]],
        "license": "other",
        "license_name": "see-the-data",
    }


def _subject(about: Exported) -> tuple[str, str]:
    """Return the title, and a sentence that says what the network does."""
    if about.translates:
        ends = (about.source, about.target) if about.direction == "st" else (about.target, about.source)
        return (
            " → ".join(ends),
            f"Translates images that look like `{ends[0]}` so that they look like `{ends[1]}`.",
        )
    task = "Predicts the class of every pixel" if about.segmentation else "Predicts the class"
    labels = "the target: an oracle, no adaptation" if _is_oracle(about) else f"`{about.source}`"
    return (
        f"{about.target}: {len(about.classes)} classes",
        f"{task} of images like those of `{about.target}`, trained with the labels of {labels}. "
        f"The classes are {list_some(about.classes, 30)}.",
    )


def _is_oracle(about: Exported) -> bool:
    """Return whether a network learnt from the labels of the target."""
    return methods[about.method].supervision == "target"


def _use(about: Exported, any_size: Mapping[str, bool]) -> list[str]:
    """Return the section that shows how the network is used."""
    load = [f'model = cycada.load_model("{WEIGHTS}")  # or the folder, or a run']
    if about.translates:
        code = ["from PIL import Image", "", *load]
        code += ['model(Image.open("photo.jpg"), size="keep").save("translated.png")']
        command, output = f"cycada translate {WEIGHTS} photos/ out/ --size keep", "`translated`"
    else:
        code = ["", *load, 'found = model.predict("photo.jpg")']
        code += ["print(found.shares)" if about.segmentation else "print(found.label, found.probability)"]
        command, output = f"cycada predict {WEIGHTS} photos/ out/", "`logits`"
    lines = ["## Use", "", "```python", "import cycada", *code, "```", ""]
    lines += [f"`model.net` is the torch module. A whole folder: `{command}`."]
    for name, any_height in any_size.items():
        sides = "height, width" if any_height else f"{about.window[0]}, {about.window[1]}"
        lines += [
            f"`{name}` takes `image` (batch, {about.channels}, {sides}), float32 in [-1, 1], and gives "
            f"{output}."
        ]
    return lines


def _limits(about: Exported) -> list[str]:
    """Return what the network cannot do."""
    if about.translates:
        return [
            "A translated image shows what the generator invents, not what was there: it is not evidence of "
            "anything."
        ]
    oracle = ["It was trained with the labels of the target: an oracle, no adaptation.", ""]
    return [
        *(oracle if _is_oracle(about) else ()),
        "It always predicts one of the classes above. Its scores were measured on the test "
        "images of source and target; on other images they may be far lower, and its probabilities are not "
        "calibrated.",
    ]


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
    scores = dict(_numbers(stored_scores(folder)))
    blocks = measured(folder)
    kinds = [key.split()[0] for key in blocks]  # without the id and the hash of a scorer or an extractor
    names = [key if kinds.count(kind) > 1 else kind for key, kind in zip(blocks, kinds, strict=True)]
    return scores | dict(_numbers(dict(zip(names, blocks.values(), strict=True))))


def _numbers(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the scores in nested dictionaries by name; lists, as of classes, are left out."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key not in NO_SCORES:
                yield from _numbers(value, f"{name} {key}".strip())
    elif isinstance(values, int | float) and not isinstance(values, bool) and math.isfinite(values):
        yield name, float(values)
