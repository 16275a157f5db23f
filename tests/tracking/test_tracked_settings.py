from helpers.experiments import CYCADA, tiny_config

from cycada.config.schema import parse_config
from cycada.core.yaml_files import merge
from cycada.planning.plan import plan
from cycada.tracking.settings import stage_description, stage_params


def params_of(stage, **over):
    config = parse_config(merge(tiny_config(CYCADA).model_dump(mode="json"), over))
    planned = next(p for p in plan(config) if p.name == stage)
    return stage_params(config, planned, ""), stage_description(config, planned)


def test_stage_params_have_the_names_of_the_yaml_keys():
    ramped = {"semantic_t": {"weight": 2, "ramp": {"name": "linear", "steps": 3}}}
    params, text = params_of("pixel", stages={"pixel": {"losses": ramped}}, seed=5)
    assert params["losses.semantic_t.weight"] == 2
    assert params["losses.semantic_t.ramp"] == "linear over 3 steps"
    assert params["losses.cycle_s.ramp"] == "constant"
    assert params["optimizers.generators.lr"] == 0.0002
    assert params["networks.g_st.channels"] == 4
    assert params["data.source.name"] == "rendered_digits"
    assert (params["seed"], params["variant"], params["steps"]) == (5, "tiny", 4)
    assert params["ema.g_st"] == 0.9
    assert "semantic_t" in text


def test_stage_params_say_where_a_phase_shares_an_optimizer():
    params, _ = params_of("feature")
    assert all(
        not isinstance(value, (dict, tuple)) for key, value in params.items() if key.startswith("losses")
    )
