"""What `cycada list` shows: everything that a config may name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cycada.core.errors import CycadaError, nearest
from cycada.core.registry import needs, option_defaults
from cycada.data import SceneDomain, domains, scene_domains
from cycada.data.inspect import default_instance
from cycada.losses import losses
from cycada.methods import methods
from cycada.metrics import scores
from cycada.networks import NETWORKS

Rows = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def rows(what: str) -> Rows:
    """Title, column heads, rows. Raises CycadaError for an unknown word."""
    kinds: dict[str, Callable[[], Rows]] = {
        "losses": _losses, "methods": _methods, "domains": _domains, "networks": _networks, "scores": _scores,
    }  # fmt: skip
    if what not in kinds:
        raise CycadaError(f"cycada list: unknown '{what}'.{nearest(what, kinds)}")
    return kinds[what]()


def _first_line(entry: object) -> str:
    return (inspect.getdoc(entry) or "").split("\n")[0]


def _options(entry: Callable[..., Any]) -> str:
    def shown(default: object) -> str:
        return "" if default is inspect.Parameter.empty else f"={default}"

    return ", ".join(f"{name}{shown(default)}" for name, default in option_defaults(entry).items())


def _losses() -> Rows:
    found: list[tuple[str, ...]] = [
        (name, ", ".join(needs(loss)), _options(loss), _first_line(loss)) for name, loss in losses.items()
    ]
    return "Losses", ("name", "needs", "options", ""), found


def _methods() -> Rows:
    found: list[tuple[str, ...]] = []
    for name, method in methods.items():
        phases = "\n".join(
            f"{p.name}{f' ({p.repeat} times)' if p.repeat > 1 else ''}: {', '.join(f'{t} {w:g}' for t, w in p.terms.items())}"
            for p in method.phases
        )
        scenes = {name: f" (scenes: {value})" for name, value in method.options.on_scenes().items()}
        options = ", ".join(
            f"{f.name}={f.default}{scenes.get(f.name, '')}"
            for f in method.options.__dataclass_fields__.values()
        )
        found.append((name, phases, options, method.summary))
    return "Methods, with each phase's losses and default weights", ("name", "phases", "options", ""), found


def _domains() -> Rows:
    found: list[tuple[str, ...]] = []
    for name, domain in domains.items():
        size = f"{domain.channels} x {domain.size} x {domain.size}"
        flip = "yes" if domain.flip_safe else "no"
        found.append(
            (name, size, flip, ", ".join(domain.files) or "none", _options(domain), _first_line(domain))
        )
    for name, scenes in scene_domains.items():
        known = default_instance(scenes)  # where its options say which classes, there are none yet
        of = f"scenes, {len(known.classes)} classes" if isinstance(known, SceneDomain) else "scenes"
        files = ", ".join(scenes.files) or "none"
        found.append(
            (name, of, "yes" if scenes.flip_safe else "no", files, _options(scenes), _first_line(scenes))
        )
    return "Domains", ("name", "images", "flip-safe", "files under the data root", "options", ""), found


def _networks() -> Rows:
    found: list[tuple[str, ...]] = []
    for kind, registry in NETWORKS.items():
        found += [(kind, name, _options(net), _first_line(net)) for name, net in registry.items()]
    return "Networks, by the kind of role", ("kind", "name", "options", ""), found


def _scores() -> Rows:
    table: Mapping[str, Any] = scores
    return "Scores", ("name", ""), [(name, _first_line(score)) for name, score in table.items()]
