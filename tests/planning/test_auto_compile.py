"""`compile: auto` compiles where a long stage gains from it, and says so in plans and stored configs."""

import pytest
from helpers.experiments import tiny_config

from cycada.core.errors import CycadaError
from cycada.planning import auto_compile
from cycada.planning.plan import plan

STAGES = {
    "source": {"method": "source_only", "steps": 1000},
    "pixel": {"method": "cyclegan", "steps": 1000},
    "short": {"method": "cyclegan", "steps": 999},
}


def compiled(device, precision="bf16"):
    defaults = {"compile": "auto", "precision": precision}
    plans = plan(tiny_config(STAGES, defaults=defaults, device=device))
    return {p.name for p in plans if p.stage.compile}


@pytest.mark.parametrize(
    ("device", "precision", "amx", "expected"),
    [
        ("cuda:0", "fp32", False, {"pixel"}),
        ("cpu", "bf16", True, {"pixel"}),
        ("cpu", "fp32", True, set()),
        ("cpu", "bf16", False, set()),
        ("mps", "bf16", True, set()),
    ],
)
def test_long_stages_with_generators_are_compiled_where_it_pays(
    monkeypatch, device, precision, amx, expected
):
    monkeypatch.setattr(auto_compile, "has_matrix_units", lambda: amx)
    assert compiled(device, precision) == expected


def test_what_was_decided_is_part_of_the_id_and_what_was_given_stays(monkeypatch):
    monkeypatch.setattr(auto_compile, "has_matrix_units", lambda: False)
    identities = {}
    for given in ("auto", False, True):
        config = tiny_config(STAGES, defaults={"compile": given}, device="cpu")
        identities[given] = [p.identity() for p in plan(config)]
    assert identities["auto"] == identities[False]
    assert identities[True] != identities[False]


def test_second_derivatives_are_refused_or_left_uncompiled():
    penalty = {"options": {"gan": "wgan-gp"}, "losses": {"gradient_penalty_t": 10, "gradient_penalty_s": 10}}
    stages = {"pixel": STAGES["pixel"] | penalty}
    with pytest.raises(CycadaError, match=r"compile: found true beside .*gradient_penalty_t"):
        plan(tiny_config(stages, defaults={"compile": True}))
    plans = plan(tiny_config(stages, defaults={"compile": "auto"}, device="cuda"))
    assert [p.stage.compile for p in plans] == [False]


def test_another_value_is_refused_in_one_line():
    with pytest.raises(CycadaError) as error:
        tiny_config(STAGES, defaults={"compile": "sometimes"})
    lines = [line for line in str(error.value).splitlines() if "pixel" in line]
    assert lines == ["  stages.pixel.compile: found 'sometimes', expected true, false or auto."]
