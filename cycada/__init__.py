"""Toolkit for CyCADA, cycle-consistent adversarial domain adaptation, and methods like it.

The names in `__all__` are the public Python interface, which the command line uses too. Each is imported when
it is first used, so that `import cycada` takes no time. `load` and `parse` are the earlier names of
`load_config` and `parse_config`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cycada.cli.tracked_run import run, sweep
    from cycada.config.schema import load, load_config, parse, parse_config
    from cycada.core.errors import CycadaError
    from cycada.image_quality.quality import quality
    from cycada.inference.export import export
    from cycada.inference.folders import translate
    from cycada.inference.hub import HubModel
    from cycada.inference.loading import load_model
    from cycada.inference.prediction_folder import predict
    from cycada.inference.translator import load_generator
    from cycada.planning.plan import plan as check
    from cycada.report.report import report as report_on
    from cycada.runs.records import record
    from cycada.runs.reuse import evaluate_run as evaluate
    from cycada.runs.run import run_seeds
    from cycada.study.build import build_study
    from cycada.study.score import score_study
    from cycada.study.serve import serve_study
    from cycada.style.transfer import stylize
    from cycada.sweeps.compose import compose_ablation, compose_baselines, save_sweep

__version__ = "0.2.0"
__all__ = [
    "CycadaError",
    "HubModel",
    "build_study",
    "check",
    "compose_ablation",
    "compose_baselines",
    "evaluate",
    "export",
    "load",
    "load_config",
    "load_generator",
    "load_model",
    "parse",
    "parse_config",
    "predict",
    "quality",
    "record",
    "report_on",
    "run",
    "run_seeds",
    "save_sweep",
    "score_study",
    "serve_study",
    "stylize",
    "sweep",
    "translate",
]

_PLACES = {
    "load_config": "cycada.config.schema:load_config",
    "parse_config": "cycada.config.schema:parse_config",
    "load": "cycada.config.schema:load",
    "parse": "cycada.config.schema:parse",
    "check": "cycada.planning.plan:plan",
    "run": "cycada.cli.tracked_run:run",
    "run_seeds": "cycada.runs.run:run_seeds",
    "sweep": "cycada.cli.tracked_run:sweep",
    "compose_ablation": "cycada.sweeps.compose:compose_ablation",
    "compose_baselines": "cycada.sweeps.compose:compose_baselines",
    "save_sweep": "cycada.sweeps.compose:save_sweep",
    "report_on": "cycada.report.report:report",
    "record": "cycada.runs.records:record",
    "evaluate": "cycada.runs.reuse:evaluate_run",
    "translate": "cycada.inference.folders:translate",
    "export": "cycada.inference.export:export",
    "predict": "cycada.inference.prediction_folder:predict",
    "load_model": "cycada.inference.loading:load_model",
    "HubModel": "cycada.inference.hub:HubModel",
    "load_generator": "cycada.inference.translator:load_generator",
    "quality": "cycada.image_quality.quality:quality",
    "stylize": "cycada.style.transfer:stylize",
    "build_study": "cycada.study.build:build_study",
    "serve_study": "cycada.study.serve:serve_study",
    "score_study": "cycada.study.score:score_study",
    "CycadaError": "cycada.core.errors:CycadaError",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'cycada' has no attribute '{name}'")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
