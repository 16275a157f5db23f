"""The command `cycada schema`: JSON Schemas of config files, for editors that complete and check YAML."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cycada.cli.values import PATH

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft that the language server for YAML reads."""


class Kind(StrEnum):
    """The kinds of files that have a schema."""

    experiment = "experiment"
    sweep = "sweep"


def schema(
    kind: Annotated[Kind, typer.Argument(help="The kind of file: experiment or sweep.")] = Kind.experiment,
    out: Annotated[
        Path | None, typer.Option(parser=PATH, help="The file to write, instead of printing it.")
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="A plug-in whose names are known, too. May be repeated."),
    ] = None,
) -> None:
    """Print the JSON Schema of config files, with which editors complete and check keys and names.

    A file says which schema it follows: `# yaml-language-server: $schema=experiment.schema.json`.
    """
    from cycada.cli.options import import_plugins
    from cycada.core.files import write_text

    import_plugins(plugin or ())
    text = schema_text(kind.value)
    if out is None:
        print(text, end="")
        return
    write_text(out, text)
    print(f"{out}: name it in the first line of a file, `# yaml-language-server: $schema={out}`.")


def schema_text(kind: str) -> str:
    """Return the JSON Schema of an experiment or a sweep as JSON text.

    Args:
        kind: `experiment` or `sweep`.
    """
    made = experiment_schema() if kind == "experiment" else sweep_schema()
    return json.dumps({"$schema": DRAFT, **made}, indent=1, ensure_ascii=False) + "\n"


def experiment_schema() -> dict[str, Any]:
    """Return the JSON Schema of an experiment, with the registered names as enums.

    No key is required, since a file may use another one, and every key may be null, which resets it.
    """
    from cycada.config.schema import Config
    from cycada.data import domains, segmentation_domains
    from cycada.losses import losses
    from cycada.methods import methods
    from cycada.networks import NETWORKS

    made = Config.model_json_schema()
    models = made["$defs"]
    all_networks = sorted({name for registry in NETWORKS.values() for name in registry})
    networks = {
        "type": "object",
        "properties": {kind: _named(list(registry)) for kind, registry in NETWORKS.items()},
        "additionalProperties": _named(all_networks),
    }
    data, stage = models["Data"]["properties"], models["Stage"]["properties"]
    for side in ("source", "target"):
        data[side] = _named([*domains, *segmentation_domains]) | {"description": data[side]["description"]}
    for owner in (made["properties"], stage):
        owner["networks"] = networks | {"description": owner["networks"]["description"]}
    stage["method"] |= {"enum": list(methods)}
    stage["losses"]["propertyNames"] = {"enum": list(losses)}
    stage["losses"]["additionalProperties"] = {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/Loss"}]}
    made["properties"] |= _uses() | {
        "defaults": {"$ref": "#/$defs/Stage", "description": "Settings that go under every stage."}
    }
    models.pop("Spec", None)
    lenient: dict[str, Any] = _lenient(made)
    return lenient


def sweep_schema() -> dict[str, Any]:
    """Return the JSON Schema of a sweep, none of whose keys is required, since a file may use another one."""
    from cycada.sweeps.schema import Sweep

    made = Sweep.model_json_schema()
    for key in ("drop_one", "add_one", "only_one"):  # one group may stand without a list
        groups = made["properties"][key]
        made["properties"][key] = {"anyOf": [groups["items"], groups], "description": groups["description"]}
    made["properties"] |= _uses()
    lenient: dict[str, Any] = _lenient(made)
    return lenient


def _uses() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "uses": {
            "anyOf": [text, {"type": "array", "items": text}],
            "description": "Files or shipped recipes over which this file is laid.",
        }
    }


def _named(names: list[str]) -> dict[str, Any]:
    """Return the schema of a registered name, alone or with its options."""
    name = {"type": "string", "enum": sorted(names)}
    return {"anyOf": [name, {"type": "object", "properties": {"name": name}}]}


def _lenient(node: Any) -> Any:
    """Return a schema without required keys and defaults, in which every key may be null."""
    if isinstance(node, list):
        return [_lenient(part) for part in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _lenient(value)
        for key, value in node.items()
        if key not in ("required", "title", "properties", "$defs")
    }
    for key in ("properties", "$defs"):  # whose own keys are names, such as `title`
        if key in node:
            kept[key] = {name: _lenient(value) for name, value in node[key].items()}
    if "properties" in kept:
        kept["properties"] = {name: _or_null(value) for name, value in kept["properties"].items()}
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _or_null(kept["additionalProperties"])
    return kept


def _or_null(node: dict[str, Any]) -> dict[str, Any]:
    description = {"description": node["description"]} if "description" in node else {}
    return {"anyOf": [{k: v for k, v in node.items() if k != "description"}, {"type": "null"}]} | description
