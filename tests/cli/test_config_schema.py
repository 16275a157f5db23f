"""`cycada schema`: what an editor knows of a config file."""

import json
import os

import pytest
from helpers.paths import ROOT

from cycada.cli.config_schema import experiment_schema, schema_text
from cycada.config.recipes import recipes
from cycada.config.schema import Config
from cycada.data import domains, segmentation_domains
from cycada.methods import methods


@pytest.mark.parametrize("kind", ["experiment", "sweep"])
def test_the_shipped_schema_is_that_of_the_code(kind):
    """After a change: `cycada schema KIND --out configs/KIND.schema.json`."""
    assert (ROOT / "configs" / f"{kind}.schema.json").read_text() == schema_text(kind)


def test_registered_names_are_enums_and_no_key_is_required():
    made = experiment_schema()
    assert set(made["properties"]) == {*Config.model_fields, "uses", "defaults"}
    (method, _) = made["$defs"]["Stage"]["properties"]["method"]["anyOf"]
    assert method["enum"] == list(methods)
    (source, _) = made["$defs"]["Data"]["properties"]["source"]["anyOf"]
    assert source["anyOf"][0]["enum"] == sorted([*domains, *segmentation_domains])
    text = json.dumps(made)
    assert '"required": [' not in text
    assert {part.split('"')[0] for part in text.split('"#/$defs/')[1:]} <= set(made["$defs"])


def test_every_recipe_names_its_schema():
    for name, file in recipes().items():
        kind = "sweep" if name.startswith("sweeps/") else "experiment"
        path = os.path.relpath(file.parents[name.count("/")] / f"{kind}.schema.json", file.parent)
        assert file.read_text().splitlines()[0] == f"# yaml-language-server: $schema={path}"
