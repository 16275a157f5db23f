"""Reading, merging, overriding and checking configs; every YAML of the project parses and plans."""

import copy
import random
from dataclasses import dataclass

import pytest
import yaml
from helpers.paths import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from cycada import report_on, run_seeds
from cycada.config.schema import COMMANDS, Strict, digest, load, parse
from cycada.core.errors import CycadaError
from cycada.core.registry import check_options
from cycada.core.secrets import redacted
from cycada.core.yaml_files import merge, override, parse_value, parse_yaml, put, read
from cycada.data import domains
from cycada.methods import Options
from cycada.methods.step_tensors import option
from cycada.planning.idle import find_idle_settings
from cycada.planning.plan import plan
from cycada.sweeps.schema import load_sweep

LONG = "x" * 100_000
CONFIGS = ROOT / "configs"

BASE = {
    "name": "x",
    "data": {"source": "rendered_digits", "target": "optdigits", "size": 16, "channels": 1},
    "networks": {
        "f": {"name": "convnet", "channels": 8},
        "g": "resnet",
        "d": {"name": "patchgan", "layers": 2},
        "d_feat": "mlp",
    },
    "stages": {
        "source": {"method": "source_only", "steps": 3, "batch": 2},
        "pixel": {
            "method": "cycada_pixel",
            "steps": 3,
            "batch": 2,
            "init": {"f_s": "source.f_t"},
            "losses": {"cycle_s": 1, "gan_t": 2},
        },
    },
}


def base(**over):
    return merge(copy.deepcopy(BASE), over)


def stage(**over):
    """The experiment with this laid over its pixel stage."""
    return base(stages={"pixel": over})


def refused(*words):
    """The block has to end with a CycadaError that says all these words."""
    return pytest.raises(CycadaError, match="".join(f"(?=[\\s\\S]*{word})" for word in words))


def write(folder, **files):
    """Files by their stem; the last one's path."""
    for stem, text in files.items():
        path = folder / f"{stem}.yaml"
        path.write_text(text)
    return path


# The project's own files.


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda p: str(p.relative_to(CONFIGS)))
def test_every_config_of_the_project_parses_and_plans_and_holds_nothing_idle(path):
    data = read(path)
    if not {"name", "stages", "data"} <= set(data):
        pytest.skip("a fragment for `uses`")
    config = load(path)
    plans = plan(config)
    assert plans
    assert find_idle_settings(config, plans) == []


# Merging.


@pytest.mark.parametrize(
    ("under", "over", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        # options of one network are not options of the next
        ({"f": {"name": "convnet", "width": 8}}, {"f": {"name": "lenet"}}, {"f": {"name": "lenet"}}),
        (
            {"f": {"name": "convnet", "width": 8}},
            {"f": {"name": "convnet", "channels": 4}},
            {"f": {"name": "convnet", "width": 8, "channels": 4}},
        ),
        ({"f": {"name": "convnet", "width": 8}}, {"f": {"width": 9}}, {"f": {"name": "convnet", "width": 9}}),
        ({"f": {"name": "convnet", "width": 8}}, {"f": "lenet"}, {"f": "lenet"}),
    ],
)
def test_merge(under, over, result):
    assert merge(under, over) == result


LEAVES = st.one_of(
    st.integers(), st.booleans(), st.none(), st.text(max_size=3), st.lists(st.integers(), max_size=2)
)
TREES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda below: st.dictionaries(st.sampled_from("abc"), LEAVES | below, max_size=3),
    max_leaves=8,
)
# Here a key is a mapping everywhere (m, n) or nowhere (x, y).
SHAPED = st.recursive(
    st.dictionaries(st.sampled_from("xy"), st.integers(), max_size=2),
    lambda below: st.builds(
        lambda leaves, mappings: leaves | mappings,
        st.dictionaries(st.sampled_from("xy"), st.integers(), max_size=2),
        st.dictionaries(st.sampled_from("mn"), below, max_size=2),
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(a=TREES, b=TREES)
def test_merge_has_an_identity_keeps_its_arguments_and_repeats_without_effect(a, b):
    before = copy.deepcopy((a, b))
    once = merge(a, b)
    assert merge(a, {}) == a == merge({}, a) == merge(a, a)
    assert merge(once, b) == once
    assert (a, b) == before


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        elif not isinstance(value, dict):
            yield (*path, key), value


@settings(deadline=None)
@given(a=TREES, b=TREES)
def test_what_lies_over_wins(a, b):
    merged = dict(leaves(merge(a, b)))
    assert all(merged[path] == value for path, value in leaves(b))


@settings(deadline=None)
@given(a=SHAPED, b=SHAPED, c=SHAPED)
def test_merging_mappings_of_one_shape_is_associative(a, b, c):
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


# `uses`.


def test_uses_is_a_chain_in_which_the_user_wins(tmp_path):
    path = write(
        tmp_path,
        base="a: 1\nb: 1\nc: {x: 1, y: 1}\n",
        middle="uses: base.yaml\nb: 2\nc: {x: 2}\n",
        top="uses: middle.yaml\nc: {z: 3}\n",
    )
    assert read(path) == {"a": 1, "b": 2, "c": {"x": 2, "y": 1, "z": 3}}


def test_the_later_of_several_wins(tmp_path):
    path = write(tmp_path, one="a: 1\nb: 1\n", two="a: 2\n", top="uses: [one.yaml, two.yaml]\n")
    assert read(path) == {"a": 2, "b": 1}


def test_uses_is_relative_to_its_file(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path, base="a: 1\n")
    write(tmp_path / "deep", middle="uses: ../base.yaml\n")
    assert read(write(tmp_path, top="uses: deep/middle.yaml\n")) == {"a": 1}


def test_a_fragment_may_be_used_twice(tmp_path):
    path = write(
        tmp_path,
        base="a: 1\n",
        one="uses: base.yaml\n",
        two="uses: base.yaml\n",
        top="uses: [one.yaml, two.yaml]\n",
    )
    assert read(path) == {"a": 1}


def test_a_circle_of_uses_is_refused(tmp_path):
    path = write(tmp_path, one="uses: two.yaml\n", two="uses: one.yaml\n")
    with refused("uses itself", r"two\.yaml -> one\.yaml"):
        read(path)


def test_a_used_file_that_is_not_there_is_named(tmp_path):
    with refused(r"absent\.yaml", "No such file"):
        read(write(tmp_path, top="uses: absent.yaml\n"))


@pytest.mark.parametrize("uses", ["5", "[3]"])
def test_uses_has_to_be_a_path_or_paths(tmp_path, uses):
    with refused(r"top\.yaml", "uses"):
        read(write(tmp_path, top=f"uses: {uses}\n"))


# YAML.


def test_a_duplicate_key_is_refused_by_line(tmp_path):
    with refused(r"top\.yaml", "line 3", "'a'", "twice"):
        read(write(tmp_path, top="a: 1\nb: 2\na: 3\n"))


def test_a_duplicate_key_is_found_in_depth(tmp_path):
    with refused("line 2", "'x'", "twice"):
        read(write(tmp_path, top="a:\n  b: {x: 1, x: 2}\n"))


@pytest.mark.parametrize(
    ("key", "shown"), [("true", "true"), ("1", "1"), ("null", "null"), ("[a]", "a list")]
)
def test_a_key_that_is_no_word_is_refused(tmp_path, key, shown):
    with refused("line 1", shown, "no word", "quotes"):
        read(write(tmp_path, top=f"{key}: 1\n"))


@pytest.mark.parametrize("text", ["", "- a\n", "word\n"])
def test_a_file_without_keys_is_refused(tmp_path, text):
    with refused(r"top\.yaml", "expected a mapping"):
        read(write(tmp_path, top=text))


@pytest.mark.parametrize("text", ["a: [1\n", "a: !!python/object:os.system x\n", "a: b: c\n"])
def test_broken_yaml_is_refused_by_file(tmp_path, text):
    with refused(r"top\.yaml", "not valid YAML"):
        read(write(tmp_path, top=text))


def test_a_binary_file_is_refused_by_name(tmp_path):
    (tmp_path / "top.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with refused(r"top\.yaml", "no text file"):
        read(tmp_path / "top.yaml")


@pytest.mark.parametrize("number", ["2e-4", "2.0e-4", "0.0002"])
def test_every_way_to_write_a_small_number_is_a_number(number):
    # YAML 1.1 reads 2e-4, without a dot, as a string
    config = parse(
        stage(optimizer=parse_yaml(f"lr: {number}", "x"), losses=parse_yaml(f"cycle_s: {number}", "x"))
    )
    assert config.stages["pixel"].optimizer.lr == 2e-4
    assert config.stages["pixel"].losses["cycle_s"].weight == 2e-4


# Overrides.


@pytest.mark.parametrize(
    ("data", "assignment", "result"),
    [
        ({"a": {"b": 1}}, "a.b=2", {"a": {"b": 2}}),
        ({}, "a.b.c=2", {"a": {"b": {"c": 2}}}),
        ({}, "a=[1, x]", {"a": [1, "x"]}),
        ({}, "a={b: true}", {"a": {"b": True}}),
        ({}, "a=x=y", {"a": "x=y"}),
        ({"a": 1}, "a=null", {"a": None}),
        ({"losses": {"cycle_s": 1}}, "losses.cycle_s.weight=2", {"losses": {"cycle_s": {"weight": 2}}}),
        (
            {"losses": {"cycle_s": 0.5}},
            "losses.cycle_s.ramp.name=dann",
            {"losses": {"cycle_s": {"weight": 0.5, "ramp": {"name": "dann"}}}},
        ),
        (
            {"networks": {"f": "lenet"}},
            "networks.f.dropout=0.1",
            {"networks": {"f": {"name": "lenet", "dropout": 0.1}}},
        ),
        ({"f": {"name": "convnet", "width": 8}}, "f.name=lenet", {"f": {"name": "lenet"}}),
    ],
)
def test_override(data, assignment, result):
    before = copy.deepcopy(data)
    assert override(data, [assignment]) == result
    assert data == before


def test_the_last_override_wins():
    assert override({}, ["a=1", "a=2"]) == {"a": 2}


def test_an_overridden_weight_reaches_the_loss():
    config = parse(override(BASE, ["stages.pixel.losses.cycle_s.weight=2"]))
    assert config.stages["pixel"].losses["cycle_s"].weight == 2
    assert config.stages["pixel"].losses["gan_t"].weight == 2


def test_an_override_keeps_a_weight_written_without_a_dot():
    data = stage(losses=parse_yaml("cycle_s: 2e-4", "x"))
    config = parse(override(data, ["stages.pixel.losses.cycle_s.ramp.name=dann"]))
    assert config.stages["pixel"].losses["cycle_s"].weight == 2e-4


@pytest.mark.parametrize("assignment", ["a.b", "=3", ""])
def test_an_override_without_key_or_value_is_refused(assignment):
    with refused("key=value", "stages.pixel.steps=100"):
        override({}, [assignment])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("stages.pixel.schedule", "cosine", "keys with values below it"),
        ("stages.pixel.losses", ["cycle_s"], "keys with values below it"),
        ("evaluation.window", 32, r"a list, such as \[a, b\]"),
        ("plugins", "mine", r"a list, such as \[a, b\]"),
    ],
)
def test_another_kind_of_value_is_answered_without_pythons_words(key, value, expected):
    with refused(f"{key}: Expected {expected}. Found"):
        parse(put(BASE, key, value))


@pytest.mark.parametrize("assignment", ["seed=", "data.root= "])
def test_an_override_of_an_empty_variable_is_refused(assignment):
    with refused("found no value", f"{assignment.partition('=')[0]}=null takes the key back"):
        override({}, [assignment])


def test_an_override_that_is_no_yaml_is_named():
    with refused("override a.b", "not valid YAML"):
        override({}, ["a.b=[1"])


def test_one_override_may_stand_alone_and_a_text_is_no_mapping(tmp_path):
    path = write(tmp_path, one=yaml.safe_dump(base(), sort_keys=False))
    assert load(path, "seed=12") == load(path, ["seed=12"])
    with refused("found a str, expected a mapping", "load_config"):
        parse(str(path))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load({"name": "a"}), "Found a dict, expected the path.*parse_config"),
        (lambda: load("demo", None), "Found a NoneType, expected a text"),
        (lambda: load("demo", {"seed": 3}), "Found a dict, expected a text"),
        (lambda: run_seeds("demo", [], 3), "seeds: found 3, expected a list of seeds"),
        (lambda: report_on(None), "Found a NoneType, expected a text"),
    ],
)
def test_a_call_with_another_kind_of_argument_is_answered(call, words):
    with refused(words):
        call()


def test_a_used_name_that_is_no_recipe_is_told_with_the_file(tmp_path):
    with refused(r"top\.yaml: uses: 'nothing\.yaml': found neither"):
        load(write(tmp_path, top="uses: nothing.yaml\n"))


def test_load_reads_overrides_and_parses(tmp_path):
    config = load(
        write(tmp_path, top=yaml.safe_dump(BASE, sort_keys=False)), ["seed=4", "stages.pixel.steps=9"]
    )
    assert config.seed == 4
    assert config.stages["pixel"].steps == 9


# Stages.


def test_a_stage_is_removed_with_null():
    assert list(parse(override(BASE, ["stages.pixel=null"])).stages) == ["source"]


def test_a_stage_that_others_start_from_cannot_be_removed():
    with refused(r"stages\.pixel\.init\.f_s", r"'source\.f_t'", "no earlier stage"):
        parse(override(BASE, ["stages.source=null"]))


@pytest.mark.parametrize("stages", [{}, {"pixel": None, "source": None}])
def test_an_experiment_without_stages_is_refused(stages):
    with refused("stages", "none"):
        parse({**BASE, "stages": stages})


def test_defaults_lie_under_every_stage():
    config = parse(base(defaults={"batch": 7, "schedule": {"after": 0.1}, "precision": "bf16"}))
    pixel = config.stages["pixel"]
    assert (pixel.batch, pixel.schedule.after, pixel.precision) == (2, 0.1, "bf16")


@pytest.mark.parametrize("defaults", [5, "batch", ["batch"]])
def test_defaults_have_to_be_a_mapping(defaults):
    with refused("defaults"):
        parse({**BASE, "defaults": defaults})


# Mistakes.


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"sede": 1}, ("unknown key 'sede'", "Did you mean 'seed'")),
        ({"data": {"sizee": 1}}, ("data: unknown key 'sizee'", "Did you mean 'size'")),
        (
            {"stages": {"pixel": {"stpes": 1}}},
            (r"stages\.pixel: unknown key 'stpes'", "Did you mean 'steps'"),
        ),
        (
            {"stages": {"pixel": {"optimizer": {"Lr": 1}}}},
            (r"stages\.pixel\.optimizer: unknown key 'Lr'", "Did you mean 'lr'"),
        ),
        (
            {"stages": {"pixel": {"losses": {"gan_t": {"ramp": {"step": 1}}}}}},
            (r"losses\.gan_t\.ramp", "Did you mean 'steps'"),
        ),
        (
            {"stages": {"pixel": {"losses": {"gan_t": {"ramp": {"name": "fall"}}}}}},
            (r"losses\.gan_t\.ramp", "over how many steps"),
        ),
        ({"defaults": {"batchh": 1}}, (r"stages\.source: unknown key 'batchh'", "Did you mean 'batch'")),
        ({"tracking": {"knd": "none"}}, ("tracking: unknown key 'knd'", "Did you mean 'kind'")),
        ({"default": {"steps": 1}}, ("unknown key 'default'", "Did you mean 'defaults'")),
        ({"use": "demo"}, ("unknown key 'use'", "Did you mean 'uses'")),
    ],
)
def test_a_misspelt_key_is_answered_with_its_path_and_the_nearest(over, words):
    with refused("config", *words):
        parse(base(**over))


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"data": {"size": "big"}}, (r"data\.size", "'big'")),
        ({"data": {"channels": 2}}, (r"data\.channels", "Found 2")),
        ({"stages": {"pixel": {"steps": 0}}}, (r"stages\.pixel\.steps", "Found 0")),
        (
            {"stages": {"pixel": {"losses": {"gan_t": -1}}}},
            (r"stages\.pixel\.losses\.gan_t\.weight", "Found -1"),
        ),
        (
            {"stages": {"pixel": {"precision": "fp16"}}},
            (r"stages\.pixel\.precision", "'fp16'", "or 'auto'"),
        ),
        ({"stages": {"pixel": 5}}, (r"stages\.pixel", "Found 5")),
        ({"seed": -1}, ("seed", r"equal to 0\. Found -1")),
        ({"seed": [0, 1]}, (r"Found \[0, 1\]", "Several seeds are those of a sweep")),
    ],
)
def test_a_wrong_value_is_answered_with_its_path_and_what_was_found(over, words):
    with refused(*words):
        parse(base(**over))


@pytest.mark.parametrize("size", [0, [32], "32x32", {"source": [32, 32]}])
def test_a_wrong_size_gets_one_message(size):
    with pytest.raises(CycadaError) as error:
        parse(base(data={"size": size}))
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith(f"  data.size: found {size!r}, expected 4 to 65535 pixels: one side such")


def test_defaults_without_stages_are_no_unknown_key():
    with pytest.raises(CycadaError, match="stages: ") as error:
        parse({**BASE, "stages": [], "defaults": {"steps": 3}})
    assert "defaults" not in str(error.value)


def test_a_missing_key_is_named():
    with refused(r"data\.size: found nothing, expected a value"):
        parse({**BASE, "data": {k: v for k, v in BASE["data"].items() if k != "size"}})


def test_a_misspelt_stage_is_not_taken_for_a_new_one():
    stages = BASE["stages"] | {"pixle": {"steps": 5}}
    with refused(r"stages\.pixle: found a stage without a method", "Did you mean 'pixel'"):
        parse({**BASE, "stages": stages})


@pytest.mark.parametrize("name", ["", ".x", "../x", "a/b", "a..b", "a.py ", "~/x", "a-b", "x" * 300])
def test_a_plugin_is_the_name_of_a_module(name):
    with refused(r"plugins\.0", "expected the name of a module") as refusal:
        parse(base(plugins=[name]))
    assert len(str(refusal.value)) < 500


FILES = {
    "an experiment": yaml.safe_dump(BASE, sort_keys=False),
    "a sweep": "name: s\nexperiment: x.yaml\nvary: {seed: [1, 2]}\n",
    "a class map": "road: 0\ncar: {ids: [13, 14]}\nsky: [0, 0, 255]\nignore: [[1, 2, 3], [4, 5, 6]]\n",
    "the key of a study": "format: cycada-study-key\nversion: 1\n",
}


@pytest.mark.parametrize("wanted", ["an experiment", "a sweep"])
@pytest.mark.parametrize("found", FILES)
def test_a_file_of_another_kind_is_told_the_command(tmp_path, found, wanted):
    file = write(tmp_path, file=FILES[found])
    load_it = load if wanted == "an experiment" else load_sweep
    if found == wanted:
        assert load_it(file).name
        return
    with refused(rf"file\.yaml: found {found}, expected {wanted}", COMMANDS[found].split()[0]):
        load_it(file)


def test_all_mistakes_are_told_at_once():
    with refused(r"data\.size", r"stages\.pixel\.steps"):
        parse(base(data={"size": 1}, stages={"pixel": {"steps": 0}}))


@pytest.mark.parametrize("start", ["sourc.f_t", "pixel.f_t", "absent.f_t"])
def test_init_names_an_earlier_stage(start):
    # the stage itself comes too late, too
    with refused(
        r"stages\.pixel\.init\.f_s", f"'{start}'", "no earlier stage", "Known: source", r"STAGE\.ROLE"
    ):
        parse(stage(init={"f_s": start}))


def test_init_offers_the_nearest_stage():
    with refused("Did you mean 'source'"):
        parse(stage(init={"f_s": "sourc.f_t"}))


def test_null_takes_an_init_back():
    assert parse(stage(init={"f_s": None})).stages["pixel"].init == {}


def test_init_may_be_a_file():
    config = parse(stage(init={"f_s": "some/weights.safetensors#f_t"}))
    assert config.stages["pixel"].init["f_s"] == "some/weights.safetensors#f_t"


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"data": {"source": "rendered_digit"}}, (r"data\.source", "Did you mean 'rendered_digits'")),
        (
            {"data": {"source": {"name": "rendered_digits", "trian": 5}}},
            (r"data\.source", "Did you mean 'train'"),
        ),
        ({"networks": {"f": "lenett"}}, (r"networks\.f", "task network", "Did you mean 'lenet'")),
        (
            {"networks": {"f": {"name": "convnet", "chanels": 4}}},
            (r"networks\.f", "'chanels'", "Did you mean 'channels'"),
        ),
        ({"networks": {"f": {"name": "convnet", "channels": "many"}}}, (r"networks\.f\.channels", "'many'")),
        (
            {"stages": {"pixel": {"method": "cycada_pixl"}}},
            (r"stages\.pixel\.method", "Did you mean 'cycada_pixel'"),
        ),
        (
            {"stages": {"pixel": {"losses": {"cycle_r": 1}}}},
            (r"stages\.pixel\.losses", "Did you mean 'cycle_"),
        ),
        (
            {"stages": {"pixel": {"losses": {"gan_t": {"mod": "lsgan"}}}}},
            (r"stages\.pixel\.losses\.gan_t", "Did you mean 'mode'"),
        ),
        ({"stages": {"pixel": {"options": {"pol": 5}}}}, (r"stages\.pixel\.options", "Did you mean 'pool'")),
        ({"stages": {"pixel": {"options": {"pool": "big"}}}}, (r"stages\.pixel\.options\.pool", "'big'")),
        (
            {"stages": {"pixel": {"init": {"f_x": "source.f_t"}}}},
            (r"stages\.pixel\.init", "'f_x'", "Did you mean 'f_s'"),
        ),
        (
            {"stages": {"pixel": {"init": {"f_s": "source.g_t"}}}},
            (r"stages\.pixel\.init\.f_s", "no network 'g_t'", "f_t"),
        ),
        (
            {"stages": {"pixel": {"every": {"generator": 2}}}},
            (r"stages\.pixel\.every", "Did you mean 'generators'"),
        ),
        (
            {"stages": {"pixel": {"repeat": {"generator": 2}}}},
            (r"stages\.pixel\.repeat", "Did you mean 'generators'"),
        ),
        ({"stages": {"pixel": {"repeat": {"generators": 0}}}}, (r"stages\.pixel\.repeat", "0")),
        ({"stages": {"pixel": {"ema": {"g_s": 0.9}}}}, (r"stages\.pixel\.ema", "'g_s'", "Did you mean 'g_")),
        ({"stages": {"pixel": {"every": {"generators": 0}}}}, (r"stages\.pixel\.every", "0")),
        (
            {"stages": {"pixel": {"augment": {"flip": True}}}},
            (r"stages\.pixel\.augment\.flip", "'rendered_digits'", "flip_safe"),
        ),
        ({"plugins": ["no_such_module_here"]}, ("plugins", "no_such_module_here", "PYTHONPATH")),
    ],
)
def test_a_plan_answers_a_wrong_name_with_its_path_and_the_nearest(over, words):
    with refused(*words):
        plan(parse(base(**over)))


@pytest.mark.parametrize(
    "over",
    [
        {"data": {"source": LONG}},
        {"networks": {"f": LONG}},
        {"networks": {LONG: "lenet"}},
        {"stages": {"pixel": {"method": LONG}}},
        {"stages": {"pixel": {"losses": {LONG: 1}}}},
        {"stages": {"pixel": {"losses": {"gan_t": {"weight": 1, "phase": LONG}}}}},
        {"stages": {"pixel": {"options": {LONG: 1}}}},
        {"stages": {"pixel": {"ema": {LONG: 0.9}}}},
        {"stages": {"pixel": {"init": {LONG: "source.f_t"}}}},
        {"stages": {"pixel": {"init": {"f_s": LONG}}}},
    ],
)
def test_a_long_value_does_not_make_a_long_message(over):
    with pytest.raises(CycadaError) as refusal:
        plan(parse(base(**over)))
    assert len(str(refusal.value)) < 3000


# Hashes.


def shuffled(value, seed):
    """The same mapping with its keys in another order."""
    if not isinstance(value, dict):
        return value
    keys = list(value)
    random.Random(seed).shuffle(keys)
    return {k: shuffled(value[k], seed) for k in keys}


@settings(deadline=None)
@given(tree=TREES, seed=st.integers(0, 99))
def test_a_digest_does_not_depend_on_the_order_of_keys(tree, seed):
    assert digest(shuffled(tree, seed)) == digest(tree)


@settings(deadline=None)
@given(a=TREES, b=TREES)
def test_different_values_have_different_digests(a, b):
    # as JSON, for which True is not 1
    assert (digest(a) == digest(b)) == (
        yaml.safe_dump(a, sort_keys=True) == yaml.safe_dump(b, sort_keys=True)
    )


def test_a_digest_is_twelve_hex_characters_that_stay_the_same():
    assert digest({"a": 1, "b": [2.5, None]}) == digest({"b": [2.5, None], "a": 1})
    assert len(digest({})) == 12
    assert int(digest({}), 16) >= 0


def test_the_identity_of_a_stage_depends_on_what_it_learns_and_not_on_the_order_of_keys():
    def ids(data):
        return [digest(p.identity()) for p in plan(parse(data))]

    ordered = {
        **base(),
        "stages": {name: shuffled(s, 1) for name, s in BASE["stages"].items()},
        "networks": shuffled(BASE["networks"], 2),
    }
    assert ids(ordered) == ids(BASE)
    changed = ids(stage(losses={"cycle_s": 3}))
    assert changed[0] == ids(BASE)[0]
    assert changed[1] != ids(BASE)[1]


def test_repeating_once_is_no_other_stage_and_repeating_twice_is():
    plain, once, twice = (
        plan(parse(stage(repeat=r)))[1].identity() for r in ({}, {"generators": 1}, {"generators": 2})
    )
    assert digest(plain) == digest(once) != digest(twice)


QUICK = {
    "source": "0a9d3b3dc24c",
    "pixel": "89d860abb9cc",
    "task": "bc1477d439f5",
    "feature": "d1083ef2da3f",
}


def test_stages_that_have_been_trained_keep_their_ids(monkeypatch):
    """An option that a method gets later, at its default, must not send people to train again what they have
    trained."""
    monkeypatch.setattr("cycada.core.cpu.computes_bf16", lambda: True)
    plans = plan(load(CONFIGS / "digits/mnist_usps/quick.yaml"))
    assert {p.name: p.recipe() for p in plans} == QUICK


def test_an_option_that_came_later_is_in_the_identity_where_it_is_not_at_its_default():
    @dataclass(frozen=True)
    class Grown(Options):
        old: int = 1
        new: int = option(2, omit_default_from_id=True)

    assert Grown().identity() == Grown(new=2).identity() == {"old": 1}
    assert Grown(old=5, new=3).identity() == {"old": 5, "new": 3}


def test_an_option_may_have_another_default_on_scenes():
    @dataclass(frozen=True)
    class Both(Options):
        turn: float = option(15.0, segmentation_default=0.0, image_labels_only=True)
        jitter: float = option(0.0, segmentation_default=0.25, omit_default_from_id=True)
        other: int = 1

    assert Both.segmentation_defaults() == {"turn": 0.0, "jitter": 0.25}
    assert Both(**Both.segmentation_defaults()).identity() == {"turn": 0.0, "jitter": 0.25, "other": 1}


@pytest.mark.parametrize(
    "over", [{"logging": {"report_every": 7}}, {"results": "elsewhere"}, {"threads": 1}, {"name": "y"}]
)
def test_what_changes_nothing_that_is_learnt_changes_no_identity(over):
    assert [p.identity() for p in plan(parse(base(**over)))] == [p.identity() for p in plan(parse(BASE))]


# Any small config survives being written and read again.

WORD = st.text("abcdefgh_", min_size=1, max_size=6)
WEIGHT = st.floats(0, 100) | st.integers(0, 100)
LOSS = WEIGHT | st.fixed_dictionaries(
    {"weight": WEIGHT},
    optional={
        "ramp": st.fixed_dictionaries(
            {"name": st.sampled_from(["constant", "linear", "dann"])}, optional={"steps": st.integers(0, 99)}
        )
        | st.fixed_dictionaries({"name": st.just("fall"), "steps": st.integers(1, 99)}),
        "phase": WORD,
        "mode": st.sampled_from(["lsgan", "hinge"]),
    },
)
SPEC = WORD | st.fixed_dictionaries(
    {"name": WORD}, optional={"channels": st.integers(1, 9), "dropout": st.floats(0, 1)}
)
OPTIMIZER = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["adam", "sgd"]),
        "lr": st.floats(1e-6, 1),
        "betas": st.just([0.5, 0.999]),
    },
)
STAGE = st.fixed_dictionaries(
    {"method": WORD, "steps": st.integers(1, 999), "batch": st.integers(1, 99)},
    optional={
        "losses": st.dictionaries(WORD, LOSS, max_size=3),
        "networks": st.dictionaries(WORD, SPEC, max_size=2),
        "optimizer": OPTIMIZER,
        "optimizers": st.dictionaries(WORD, OPTIMIZER, max_size=2),
        "init": st.dictionaries(WORD, st.just("weights.safetensors#f_t"), max_size=2),
        "schedule": st.fixed_dictionaries(
            {}, optional={"after": st.floats(0, 1), "warmup": st.integers(0, 9)}
        ),
        "augment": st.none() | st.fixed_dictionaries({}, optional={"rotate": st.floats(0, 180)}),
    },
)
CONFIG = st.fixed_dictionaries(
    {
        "name": WORD,
        "data": st.fixed_dictionaries(
            {"source": SPEC, "target": SPEC, "size": st.integers(4, 64), "channels": st.sampled_from([1, 3])},
            optional={"root": WORD, "resize": st.sampled_from(["pad", "bicubic"])},
        ),
        "stages": st.dictionaries(WORD, STAGE, min_size=1, max_size=3),
    },
    optional={
        "seed": st.integers(0, 2**40),
        "networks": st.dictionaries(WORD, SPEC, max_size=2),
        "threads": st.integers(1, 8),
    },
)


@settings(max_examples=60, deadline=None)
@given(data=CONFIG)
def test_a_config_survives_being_written_and_read(data):
    config = parse(data)
    dumped = config.model_dump(mode="json")
    again = parse(dumped)
    assert again == config
    assert digest(again.model_dump(mode="json")) == digest(dumped)
    assert parse(parse_yaml(yaml.safe_dump(dumped), "x")) == config


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("007", "007"),
        ("on", "on"),
        ("1e3", "1e3"),
        ("12", "12"),
        ("1.50", "1.50"),
        ("2024-01-02", "2024-01-02"),
    ],
)
def test_a_text_is_taken_as_it_is_typed(written, name):
    class Named(Strict):
        name: str

    assert Named(name=parse_value(written, "name")).name == name


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("#1", "#1"),
        ("a: b", "a: b"),
        ("a #b", "a #b"),
        ("1:30", "1:30"),
        ("~/d", "~/d"),
        (".5", 0.5),
        ("2e-4", 2e-4),
    ],
)
def test_every_character_of_an_override_counts(written, value):
    assert parse_value(written, "key") == value


def test_merge_keys_join_an_anchored_mapping_and_cycles_and_bombs_are_refused():
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", "f") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
    }
    bomb = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    for text in ("a: &a {b: *a}", bomb, "a: " + "[" * 20_000):
        with pytest.raises(CycadaError) as refusal:
            parse_yaml(text, "f")
        assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("http://alice:pw@host:5000/x", "http://***@host:5000/x"),
        ("postgresql://u:p/w@host/db", "postgresql://***@host/db"),
        ("http://host/?a=1&access_token=pw#x", "http://host/?a=1&access_token=***#x"),
        ("http://host:5000/x", "http://host:5000/x"),
    ],
)
def test_passwords_are_taken_out_of_addresses(text, hidden):
    assert redacted(text) == hidden


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True])
def test_no_float_option_takes_infinity_nan_or_true(value):
    def loss(*, margin: float = 1.0) -> None: ...

    with pytest.raises(CycadaError, match="margin"):
        check_options(loss, {"margin": value}, "loss")


def test_true_is_no_number_of_channels():
    with pytest.raises(CycadaError, match=r"data\.channels: found true or false"):
        parse({**BASE, "data": {**BASE["data"], "channels": True}})


def test_a_value_of_neither_of_two_types_is_answered_with_both():
    with refused(r"npz\.classes: found 0", "valid list; or: .* greater than or equal to 1"):
        check_options(domains["npz"], {"train": "a.npz", "test": "b.npz", "classes": 0}, "npz")
